import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run
from tests.helpers.runs import MakeRun

TABLES = ("steps", "phase_usage", "epochs", "phases")
STEPS = [1.0, 1.1, 0.9, 1.0, 1.1, 0.9]


def export(run: Run, form: str, *more: str) -> int:
    return main(["export", str(run.path), "--format", form, *more])


def tables(run: Run, form: str) -> dict[str, "pd.DataFrame"]:
    folder = run.path / "export"
    if form == "json":
        return {name: pd.DataFrame(json.loads((folder / f"{name}.json").read_text())) for name in TABLES}
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[form]
    return {name: read(folder / f"{name}.{form}") for name in TABLES}


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_every_format_has_the_numbers_of_the_run(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    run = make_run(STEPS, evaluation=[0.5, 0.6])
    assert export(run, form) == 0
    assert capsys.readouterr().out.split() == [str(run.path / "export" / f"{name}.{form}") for name in TABLES]
    found = tables(run, form)
    train = found["steps"][found["steps"]["stage"] == "train"]
    assert train["wall_ns"].tolist() == run.train.wall_ns.tolist()
    assert train["loss"].tolist() == run.train.loss.tolist()
    assert train["backward_ns"].tolist() == run.train.phase_ns[Phase.BACKWARD].tolist()
    ours = [f"{phase}_ns" for phase in Phase]
    assert (found["steps"][ours].astype(float).sum(axis=1) == found["steps"]["wall_ns"]).all()
    assert (found["steps"]["stage"] == "evaluate").sum() == 2
    (epoch,) = run.epochs
    assert found["epochs"]["wall_ns"].tolist() == [epoch.wall_ns]
    assert found["epochs"]["evaluate_ns"].tolist() == [epoch.durations[Phase.EVALUATE]]
    phases = found["phases"].set_index("phase")
    whole = Subject.from_runs([run]).epoch
    interval = whole.interval(Phase.BACKWARD)
    assert interval is not None
    assert phases.loc["backward", ["seconds_per_epoch", "low_s", "high_s"]].tolist() == pytest.approx(
        [interval.value, interval.low, interval.high]
    )
    assert phases["seconds_per_epoch"].astype(float).sum() == pytest.approx(whole.total.value)
    assert phases["share"].astype(float).sum() == pytest.approx(1)


@pytest.mark.parametrize("form", ["csv", "parquet", "json"])
def test_unknown_values_are_empty_and_never_0(make_run: MakeRun, form: str) -> None:
    run = make_run(STEPS, losses=[2.0, float("nan"), float("inf"), 2.0, 2.0, 2.0])
    assert export(run, form) == 0
    found = tables(run, form)
    for name, column in (
        ("steps", "materialize_ns"),
        ("steps", "rss_bytes"),
        ("steps", "system_ns"),
        ("epochs", "test_loss"),
        ("epochs", "forward_ns"),
    ):
        assert found[name][column].isna().all(), column
    assert found["steps"]["loss"].isna().tolist()[:2] == [False, True]
    phases = found["phases"].set_index("phase")
    assert phases.loc["materialize", ["seconds_per_epoch", "low_s", "high_s", "share"]].isna().all()
    assert phases.loc["epoch_start", ["low_s", "high_s"]].isna().all(), "seen once: its interval is unknown"


def test_json_is_strict(make_run: MakeRun) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    run = make_run(STEPS, losses=[2.0, float("nan"), float("inf"), 2.0, 2.0, 2.0])
    assert export(run, "json") == 0
    for name in TABLES:
        json.loads((run.path / "export" / f"{name}.json").read_text(), parse_constant=refuse)


def test_both_timing_modes_are_exported(runs: Path) -> None:
    words = ["run", "--framework", "fake", "--data", "synthetic", "--train-limit", "400", "--test-limit", "20"]
    words += ["--batch-size", "10", "--steps", "27", "--fence", "alternate", "--quiet", "--fake-lazy"]
    assert main([*words, "--runs-dir", str(runs)]) == 0
    (path,) = runs.iterdir()
    assert main(["export", str(path), "--format", "csv"]) == 0
    rows = list(csv.DictReader((path / "export" / "phases.csv").open()))
    assert {row["ledger"] for row in rows} == {"asrun", "fenced"}
    steps = list(csv.DictReader((path / "export" / "steps.csv").open()))
    assert {row["ledger"] for row in steps} == {"asrun", "fenced"}


def test_a_run_without_a_full_step_has_empty_phases_and_a_warning(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run([1.0], images=[4])
    assert export(run, "csv") == 0
    assert "phases are left empty" in capsys.readouterr().err
    assert len((run.path / "export" / "phases.csv").read_text().splitlines()) == 1
    assert len((run.path / "export" / "steps.csv").read_text().splitlines()) == 2


def test_only_its_own_files_are_replaced(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(STEPS)
    out = run.path.parent.parent / "mine"
    out.mkdir()
    for _ in range(2):
        assert export(run, "csv", "--out", str(out)) == 0
    assert {path.name for path in out.iterdir()} == {f"{name}.csv" for name in TABLES}
    (out / "thesis.txt").write_text("all I have")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert export(run, "json", "--out", str(out)) == 2
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.usefixtures("blank_pictures")
def test_the_phase_table_of_a_report_is_not_replaced(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(STEPS)
    out = run.path.parent.parent / "out"
    assert main(["report", str(run.path), "--runs-dir", str(run.path.parent), "--out", str(out)]) == 0
    before = (out / "phases.csv").read_bytes()
    capsys.readouterr()
    assert export(run, "csv", "--out", str(out)) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (out / "phases.csv").read_bytes() == before
    assert not (out / "steps.csv").exists()


def test_a_folder_that_cannot_be_written_to_gives_one_line(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(STEPS)
    (run.path / "file").write_text("in the way")
    assert export(run, "csv", "--out", str(run.path / "file" / "out")) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)

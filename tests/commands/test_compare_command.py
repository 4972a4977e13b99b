"""`compare`, in this process, on runs of the scripted fake and on runs made from known numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared import side_drilldowns
from epoch_gap.profiler.storage.qualification_store import QUALIFICATION_JSON
from epoch_gap.profiler.storage.reader import find_runs
from epoch_gap.profiler.storage.run import Run
from tests.helpers.command_line import fake_run
from tests.helpers.edits import edit
from tests.helpers.in_process import on_one_clock, run_layers
from tests.helpers.runs import MakeRun

pytestmark = pytest.mark.usefixtures("blank_pictures")


def test_compare_puts_two_runs_side_by_side(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for costs in ("forward=1,backward=2", "forward=4,backward=6"):
        fake_run(runs, "--fake-costs", costs)
    first, second = (path.name for path in find_runs(runs))
    capsys.readouterr()
    assert main(["compare", first, second, "--runs-dir", str(runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("A  scripted fake")
    assert first[-6:] in lines[0]
    assert second[-6:] in lines[1]
    assert [line.split()[0] for line in lines if line.startswith(("forward", "backward", "epoch "))] == [
        "forward",
        "backward",
        "epoch",
    ]
    assert any(line.startswith("B: ") and "times A's epoch" in line for line in lines)
    assert any("noise floor" in line for line in lines)


def test_compare_takes_repeats_of_one_configuration(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in ("a", "b", "a", "b"):
        fake_run(runs, "--label", label)
    a, b, again, b_again = (path.name for path in find_runs(runs))
    assert main(["compare", f"{a},{again}", f"{b},{b_again}", "--runs-dir", str(runs)]) == 0
    assert "between processes" in capsys.readouterr().out
    assert main(["compare", f"{a},{b}", again, "--runs-dir", str(runs)]) == 2
    assert "different configurations" in capsys.readouterr().err
    assert main(["compare", a, a, "--runs-dir", str(runs)]) == 2


def test_compare_refuses_another_batch_size_and_other_data(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_run(runs)
    fake_run(runs, "--batch-size", "5")
    fake_run(runs)
    first, smaller, other = (path.name for path in find_runs(runs))
    edit(runs / other, "UPDATE manifest SET value = json_set(value, '$.sha256', 'another') WHERE key = 'data'")
    for second, reason in ((smaller, "batch sizes 10 and 5"), (other, "data synthetic")):
        capsys.readouterr()
        assert main(["compare", first, second, "--runs-dir", str(runs)]) == 2
        errors = capsys.readouterr().err
        assert reason in errors
        assert errors.count("\n") == 1


STEADY = [1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0]


def compare(a: Run, b: Run, *more: str) -> int:
    return main(["compare", a.id, b.id, "--runs-dir", str(a.path.parent), *more])


@pytest.mark.parametrize(
    ("slower_by", "allowed", "status", "text"),
    [(0.5, "2", 1, ": failed"), (0.5, "60", 0, "not shown"), (0.0, "0", 0, "not shown"), (-0.5, "0", 0, "not shown")],
)
def test_the_gate_fails_if_b_is_shown_to_be_too_slow(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], slower_by: float, allowed: str, status: int, text: str
) -> None:
    a, b = make_run(STEADY), make_run([s * (1 + slower_by) for s in STEADY])
    assert compare(a, b, "--fail-above", allowed) == status
    gate = [line for line in capsys.readouterr().out.splitlines() if line.startswith("gate: ")]
    assert len(gate) == 1
    assert text in gate[0]


def test_without_an_interval_the_gate_passes_loudly(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(make_run([1.0, 1.0]), make_run([9.0, 9.0]), "--fail-above", "1") == 0
    assert capsys.readouterr().err.startswith("WARNING: gate: the interval of B / A is unknown")


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "two", ""])
def test_a_gate_that_is_not_a_percentage_is_refused_in_one_line(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["compare", "a", "b", "--fail-above", value])
    assert stop.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: argument --fail-above: ")
    assert errors.count("\n") == 1


def test_the_page_distinguishes_two_runs_of_the_same_framework_and_version(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = make_run(STEADY), make_run([1.5 * s for s in STEADY])
    out = a.path.parent.parent / "out"
    assert compare(a, b, "--out", str(out)) == 0
    assert str(out / "index.html") in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert {s["id"]: s["runs"] for s in summary["subjects"]} == {
        "fake-1-cpu (A)": [a.id],
        "fake-1-cpu (B)": [b.id],
    }
    assert (summary["gaps"][0]["slow"], summary["gaps"][0]["fast"]) == ("fake-1-cpu (B)", "fake-1-cpu (A)")
    page = (out / "index.html").read_text()
    assert "Fake 1 (cpu) [A]" in page
    assert "Fake 1 (cpu) [B]" in page


def test_the_page_cautions_that_the_machines_differ(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    machine = {"cpu": "other CPU", "cores_usable": 2, "system": "Test 1"}
    a, b = make_run(STEADY), make_run(STEADY, environment={"machine": machine})
    out = a.path.parent.parent / "out"
    assert compare(a, b, "--out", str(out)) == 0
    assert capsys.readouterr().out.startswith("WARNING: A and B ran on different machines")
    assert "ran on different machines" in (out / "index.html").read_text()


def test_a_page_is_not_written_among_foreign_files_and_then_nothing_is_printed(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = make_run(STEADY), make_run(STEADY)
    mine = a.path.parent.parent / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all I have")
    assert compare(a, b, "--out", str(mine)) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(("slower_by", "status"), [(0.5, 1), (0.0, 0)])
def test_the_gates_status_is_the_same_if_its_output_is_cut_off(
    make_run: MakeRun, slower_by: float, status: int
) -> None:
    a, b = make_run(STEADY), make_run([s * (1 + slower_by) for s in STEADY])
    words = ["compare", a.id, b.id, "--runs-dir", str(a.path.parent), "--fail-above", "2"]
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-u", "-m", "profiler", *words], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (status, "")


def test_markdown_has_the_verdict_first_and_a_row_per_phase(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = make_run(STEADY), make_run([1.5 * s for s in STEADY], config={"label": "new | *one*"})
    assert compare(a, b, "--format", "md") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("**B: slower: 1.48 times A's epoch")
    rows = [line for line in lines if line.startswith("| ")]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [
        *("seconds per epoch", "---", "epoch_start", "forward", "backward", "epoch")
    ]
    assert next(row for row in rows if row.startswith("| forward")).endswith("+50.0 % |")
    assert any(line.startswith("- B  new | \\*one\\* 1 (cpu), run ") for line in lines)
    assert compare(a, b, "--format", "md", "--fail-above", "2") == 1
    assert capsys.readouterr().out.startswith("**Gate failed:** B is at least ")
    assert compare(b, a, "--format", "md", "--fail-above", "2") == 0
    assert capsys.readouterr().out.startswith("**Gate passed:** not shown to be more than 2 % slower")


def test_json_has_both_sides_the_gap_and_the_gate(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = make_run(STEADY), make_run([1.5 * s for s in STEADY], config={"label": "new"})
    assert compare(a, b, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {
        *("schema_version", "verdict", "a", "b", "gap", "gate", "layers", "operators", "not_timed", "differs")
    }
    assert (found["verdict"], found["gate"], found["layers"]) == ("slower", None, [])
    assert (found["a"]["runs"], found["b"]["runs"]) == ([a.id], [b.id])
    parts = found["gap"]["by_phase"]["asrun"]
    assert sum(part["value"] for part in parts.values()) == pytest.approx(found["gap"]["seconds"]["value"])
    assert not {"slow", "fast", "verdict"} & set(found["gap"])
    assert compare(b, a, "--format", "json", "--fail-above", "2") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["gate"]["decision"]) == ("faster", "passed")


def test_other_formats_print_nothing_else_on_standard_output(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = make_run([1.0, 1.0]), make_run([9.0, 9.0])
    out = a.path.parent.parent / "out"
    assert compare(a, b, "--format", "json", "--fail-above", "1", "--out", str(out)) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["gate"]["decision"] == "no decision"
    assert f"report: {out / 'index.html'}" in printed.err
    assert "WARNING: gate: the interval of B / A is unknown" in printed.err


def test_a_damaged_qualification_is_a_warning(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = make_run(STEADY), make_run(STEADY)
    (a.path.parent / QUALIFICATION_JSON).write_text("{")
    assert compare(a, b, "--fail-above", "2") == 0
    printed = capsys.readouterr()
    assert QUALIFICATION_JSON in printed.err
    assert "How often the gate is right for this workload on this machine is not known" in printed.out


def test_the_drill_down_of_a_version_that_is_not_installed_is_not_attached(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stored runs are of the fake's version 1, and these of an older one."""
    on_one_clock(monkeypatch)
    monkeypatch.setattr(side_drilldowns, "run_layers", run_layers)
    script = {"script": "forward=1", "version": "0.9"}
    synthetic = {"kind": "synthetic"}
    a, b = (make_run([f * s for s in STEADY], framework=script, data=synthetic) for f in (1.0, 1.5))
    assert compare(a, b, "--fail-above", "2", "--drill-down") == 1
    printed = capsys.readouterr().out
    assert "Not timed:" in printed
    assert "has fake 1 (cpu), the run fake 0.9 (cpu)" in printed


def test_a_custom_training_loop_is_not_drilled_down(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    own = {"kind": "own", "source": "digits", "sha256": None}
    a, b = (make_run([f * s for s in STEADY], data=own, config={"framework": "mine"}) for f in (1.0, 1.5))
    assert compare(a, b, "--fail-above", "2", "--drill-down") == 1
    printed = capsys.readouterr().out
    assert "A: a custom training loop has no drill-downs" in printed
    assert "qualify" not in printed

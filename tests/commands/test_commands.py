"""The command line, in this process with the scripted fake; and two whole programs in processes of their own."""

import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from epoch_gap.profiler.analysis.flags import FlagKind
from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared.run_selection import add_latest_candidates
from epoch_gap.profiler.commands.shared.sessions import alternating_order
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.profiler.storage.schema import DATABASE
from tests.helpers.command_line import QUICK_SCRIPT, SMALL, fake_run
from tests.helpers.edits import edit
from tests.helpers.paths import ROOT
from tests.helpers.processes import GIVE_UP_S, start_profiler, wait_for_steps

MANY_EPOCHS = ["--epochs", "100000"]
"""short ones: an epoch's end stores its steps"""


def chosen(paths: list[Path], runs: Path) -> list[Path]:
    """The runs of a report on `paths` and the latest of the others."""
    return [run.path for run in add_latest_candidates([read_run(path) for path in paths], runs)]


def test_a_runs_last_line_is_its_directory_and_its_steps_add_up(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fake_run(runs, "--epochs", "2") == 0
    path = Path(capsys.readouterr().out.splitlines()[-1])
    run = read_run(path)
    assert run.status == "complete"
    assert len(run.train) == 6
    for stage in (run.train, run.evaluate):
        assert (sum(stage.phase_ns.values()) == stage.wall_ns).all()
    for epoch in run.epochs:
        trained = int(run.train.wall_ns[run.train.epoch == epoch.epoch].sum())
        evaluated = int(run.evaluate.wall_ns[run.evaluate.epoch == epoch.epoch].sum())
        assert trained + sum(epoch.durations.values()) == epoch.wall_ns
        assert epoch.durations[Phase.EVALUATE] == evaluated


@pytest.mark.usefixtures("blank_pictures")
def test_a_run_stores_its_clocks_and_a_run_without_them_is_still_reported(runs: Path) -> None:
    fake_run(runs)
    run = read_run(find_runs(runs)[0])
    clocks = run.framework.clocks
    assert clocks.keys() == set(run.framework.phases) - {Phase.OTHER}
    assert clocks[Phase.FORWARD] == "busy-waits for its scripted milliseconds"

    edit(run.path, "UPDATE manifest SET value = json_remove(value, '$.clocks') WHERE key = 'framework'")
    assert read_run(run.path).framework.clocks == {}
    for verb in (["report", "--out", str(runs.parent / "out")], ["show", run.id]):
        assert main([*verb, "--runs-dir", str(runs)]) == 0


def test_two_labels_make_a_report_of_two_subjects(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = runs.parent / "out"
    assert fake_run(runs, "--label", "quick one") == 0
    assert fake_run(runs, "--label", "slow one", "--fake-costs", "forward=4,backward=6") == 0
    assert main(["report", "--runs-dir", str(runs), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "slow one" in printed
    assert str(out / "index.html") in printed
    assert "The largest contributions to the gap, by phase, as charged:\n  backward: " in printed
    assert "Test accuracy after " in printed
    summary = json.loads((out / "summary.json").read_text())
    assert [gap["slow"].split("-")[1] for gap in summary["gaps"]] == ["slow one"]
    names = {path.name for path in out.iterdir()}
    pictures = {f"{name}.png" for name in ("breakdown", "gap", "accuracy", "timeline")}
    assert names == {"index.html", *pictures, "summary.json", "phases.csv", "explanation.md"}

    first = find_runs(runs)[0].name
    assert main(["report", first, "--runs-dir", str(runs), "--out", str(out)]) == 0
    assert not (out / "gap.png").exists(), "a picture of an earlier report must not stay"


@pytest.mark.parametrize(("preset", "order"), [("smoke", "framework"), ("quick", "shared")])
def test_a_run_stores_who_drew_the_order_of_its_images(runs: Path, preset: str, order: str) -> None:
    words = ["--preset", preset, "--steps", "2", "--seed", "9"]
    assert fake_run(runs, *words) == 0
    manifest = read_run(find_runs(runs)[0]).manifest
    assert manifest.config.data_order == order
    assert ("default_rng(9)" in manifest.framework.conditions.get("data_order", "")) == (order == "shared")
    assert ("shared order" in manifest.framework.clocks["epoch_start"]) == (order == "shared")


def test_list_and_show_name_the_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_run(runs)
    run_id = find_runs(runs)[0].name
    capsys.readouterr()
    assert main(["list", "--runs-dir", str(runs)]) == 0
    assert run_id in capsys.readouterr().out
    assert main(["show", run_id[-6:], "--runs-dir", str(runs)]) == 0
    shown = capsys.readouterr().out
    assert "backward" in shown
    assert "config.batch_size: 10" in shown


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--framework", "caffe"],
        ["run", "--framework", "fake", "--batch-size", "0"],
        ["run", "--framework", "fake", "--steps", "many"],
        ["run", "--framework", "fake", "--preset", "huge"],
        ["run", "--framework", "fake", "--seed", "-1"],
        ["run", "--framework", "fake", "--seed", str(2**32)],
        ["profile", "--frameworks", "lucid,caffe"],
        ["nonsense"],
        [],
    ],
    ids=" ".join,
)
def test_an_invalid_command_line_is_refused_in_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["run", "--framework", "fake", "--data", "nowhere.npz"], "nowhere.npz"),
        (["run", "--framework", "fake", "--data", "synthetic", "--device", "tpu"], "no device 'tpu'"),
        (["run", "--framework", "fake", *SMALL, "--fake-costs", "forward"], "--fake-costs"),
        (["run", "--framework", "fake", *SMALL, "--fake-costs", "materialize=1"], "--fake-lazy"),
        (["run", "--framework", "fake", *SMALL, "--batch-size", "41"], "--batch-size 41"),
        (["profile", "--frameworks", "fake", "--data", "nowhere.npz"], "nowhere.npz"),
        (["report"], "no run"),
        (["report", "20260101"], "no run '20260101'"),
        (["show", "20260101"], "no run '20260101'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_gives_one_line_with_status_2_and_touches_no_file(
    words: list[str], text: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--runs-dir", str(runs)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert text in captured.err
    assert not runs.exists()


@pytest.mark.usefixtures("blank_pictures")
def test_runs_of_different_batch_size_are_not_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_run(runs, "--label", "a")
    fake_run(runs, "--label", "b", "--batch-size", "5")
    ids = [path.name for path in find_runs(runs)]
    out = runs.parent / "out"
    assert main(["report", *ids, "--runs-dir", str(runs), "--out", str(out)]) == 2
    assert "batch size" in capsys.readouterr().err
    assert not out.exists()
    assert main(["report", "--runs-dir", str(runs), "--out", str(out)]) == 0, "the newest alone is a report"


def test_a_report_of_one_side_adds_the_newest_run_of_every_other(runs: Path) -> None:
    for label in ("a", "b", "b", "a"):
        fake_run(runs, "--label", label)
    first_a, _, second_b, second_a = find_runs(runs)
    assert chosen([], runs) == [second_b, second_a]
    assert chosen([first_a], runs) == [first_a, second_b]


def test_a_newest_run_that_matches_no_other_is_reported_alone_with_a_warning(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_run(runs, "--label", "a")
    fake_run(runs, "--label", "b", "--batch-size", "5")
    first_a, newest = find_runs(runs)
    assert chosen([], runs) == [newest]
    errors = capsys.readouterr().err
    assert f"skipped: {first_a.name} (batch sizes 5 and 10 differ)" in errors


def test_a_report_that_cannot_be_written_is_refused_before_the_first_run(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.parent.joinpath("file").write_text("in the way")
    words = ["profile", "--frameworks", "fake", *SMALL, "--runs-dir", str(runs), "--out", f"{runs.parent}/file/out"]
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not runs.exists()


@pytest.mark.usefixtures("blank_pictures")
def test_naming_a_run_twice_counts_it_once(runs: Path) -> None:
    fake_run(runs)
    run, out = find_runs(runs)[0], runs.parent / "out"
    assert main(["report", run.name, str(run), "--runs-dir", str(runs), "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["subjects"][0]["runs"] == [run.name]


def test_a_report_is_not_written_into_a_folder_with_other_files(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_run(runs)
    mine = runs.parent / "mine"
    mine.mkdir()
    (mine / "gap.png").write_bytes(b"not yours")
    assert main(["report", "--runs-dir", str(runs), "--out", str(mine)]) == 2
    assert "gap.png, which is not part of a report" in capsys.readouterr().err
    assert [path.read_bytes() for path in mine.iterdir()] == [b"not yours"]


def test_sigterm_to_profile_ends_its_run_first(runs: Path) -> None:
    words = ["profile", "--frameworks", "fake", *SMALL, *MANY_EPOCHS]
    process = start_profiler(*words, "--runs-dir", str(runs), "--out", str(runs.parent / "out"))
    path = wait_for_steps(runs, process)
    process.terminate()
    _, errors = process.communicate(timeout=GIVE_UP_S)
    assert process.returncode == 143
    assert "Traceback" not in errors
    assert read_run(path).status == "interrupted"


def test_order_alternates() -> None:
    assert alternating_order(["a", "b"], 3) == ["a", "b", "b", "a", "a", "b"]


def start(runs: Path) -> "subprocess.Popen[str]":
    costs = ["--fake-costs", "forward=20,backward=20"]
    return start_profiler("run", "--framework", "fake", *SMALL, *MANY_EPOCHS, *costs, "--runs-dir", str(runs))


@pytest.mark.parametrize(
    ("signum", "code", "status"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "interrupted"), (signal.SIGKILL, -9, "interrupted")],
    ids=["ctrl-c", "sigterm", "kill-9"],
)
@pytest.mark.usefixtures("blank_pictures")
def test_a_stopped_run_is_readable_and_marked(signum: int, code: int, status: str, runs: Path) -> None:
    process = start(runs)
    path = wait_for_steps(runs, process)
    assert read_run(path).status == "running"
    process.send_signal(signum)
    _, errors = process.communicate(timeout=GIVE_UP_S)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert errors.count("interrupted") <= 1, "said once"
    run = read_run(path)
    assert run.status == status
    assert len(run.train)
    assert (sum(run.train.phase_ns.values()) == run.train.wall_ns).all()
    assert main(["report", str(path), "--runs-dir", str(runs), "--out", str(runs.parent / "out")]) == 0


def test_a_scripted_run_loads_no_deep_learning_library_and_no_charts(runs: Path) -> None:
    code = (
        "import sys; from epoch_gap.profiler.commands.main import main; code = main(sys.argv[1:]);"
        "print(sorted({'torch', 'lucid', 'mlx', 'matplotlib', 'scipy', 'pandas'} & set(sys.modules))); sys.exit(code)"
    )
    words = ["run", "--framework", "fake", *SMALL, *QUICK_SCRIPT, "--runs-dir", str(runs)]
    result = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "[]")


@pytest.mark.usefixtures("blank_pictures")
def test_noise_compares_a_framework_with_itself_and_later_reports_show_it(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["noise", "--framework", "fake", "--repeats", "2", *SMALL, "--quiet", "--runs-dir", str(runs)]
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("A against A: ")
    assert find_runs(runs) == [], "these runs are not candidates"
    stored = [read_run(path) for path in find_runs(runs / "noise")]
    assert [run.config.label for run in stored] == ["A", "A again", "A again", "A"]
    assert [run.manifest.turn for run in stored] == [1, 2, 3, 4]
    assert all(run.manifest.order == ("A", "A again", "A again", "A") for run in stored)
    fake_run(runs)
    assert main(["report", "--runs-dir", str(runs), "--out", str(runs.parent / "out")]) == 0
    assert "noise floor is \N{PLUS-MINUS SIGN}" in capsys.readouterr().out


def test_a_run_beside_another_timed_run_is_refused_and_may_be_allowed(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold = (
        "from epoch_gap.profiler.machine.run_lock import hold_run_lock\n"
        "with hold_run_lock('x', allow_others=False): print(flush=True); input()"
    )
    other = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        assert fake_run(runs) == 2
        assert "another timed run is in progress" in capsys.readouterr().err
        assert not runs.exists()
        assert (
            main(["profile", "--frameworks", "fake", *SMALL, "--runs-dir", str(runs), "--out", str(runs / "o")]) == 2
        )
        assert fake_run(runs, "--allow-busy") == 0
    finally:
        other.communicate()
    run = read_run(find_runs(runs)[0])
    assert {reading.other_runs for reading in run.readings} == {1}
    assert FlagKind.OTHER_RUNS in [flag.kind for flag in analyse_run(run).flags]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernel that is forced is an x86-64 one")
@pytest.mark.usefixtures("blank_pictures")
def test_a_forced_blas_kernel_is_detected_and_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
    for label, environment in (("plain", plain), ("forced", {**plain, "OPENBLAS_CORETYPE": "Nehalem"})):
        command = [sys.executable, "-m", "profiler", "run", "--framework", "fake", *SMALL, *QUICK_SCRIPT]
        command += ["--label", label, "--runs-dir", str(runs)]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True)
    assert main(["report", "--runs-dir", str(runs), "--out", str(runs.parent / "out")]) == 0
    summary = json.loads((runs.parent / "out" / "summary.json").read_text())
    by_label = {subject["id"].split("-")[1]: subject for subject in summary["subjects"]}
    assert "kernels forced" not in [flag["name"] for flag in by_label["plain"]["flags"]]
    forced = next(flag for flag in by_label["forced"]["flags"] if flag["name"] == "kernels forced")
    assert "OPENBLAS_CORETYPE=Nehalem" in forced["text"]
    assert "openblas uses Nehalem" in forced["text"]
    items = {item["item"]: item for item in summary["fairness"]}
    assert items["thread pools and BLAS kernels"]["differs"]
    assert "Nehalem" in items["thread pools and BLAS kernels"]["values"][by_label["forced"]["id"]]
    assert items["BLAS and OpenMP variables"]["differs"]


@pytest.mark.usefixtures("blank_pictures")
def test_a_report_may_be_written_above_other_reports_but_not_among_other_files(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = runs.parent / "out"
    fake_run(runs)
    assert main(["report", "--runs-dir", str(runs), "--out", str(out / "demo")]) == 0
    assert main(["report", "--runs-dir", str(runs), "--out", str(out)]) == 0, "make demo, then make profile"
    (runs.parent / "mine").mkdir()
    (runs.parent / "mine" / "thesis.txt").write_text("all I have")
    capsys.readouterr()
    assert main(["report", "--runs-dir", str(runs), "--out", str(runs.parent / "mine")]) == 2
    assert "thesis.txt" in capsys.readouterr().err


@pytest.mark.usefixtures("blank_pictures")
def test_broken_floors_are_a_warning_in_a_report_and_an_error_before_they_are_measured(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_run(runs)
    (runs / "noise.json").write_text("[]")
    capsys.readouterr()
    assert main(["report", "--runs-dir", str(runs), "--out", str(runs.parent / "out")]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("warning: ")
    assert "not known" in printed.out
    assert main(["noise", "--framework", "fake", *SMALL, "--runs-dir", str(runs)]) == 2
    assert (runs / "noise.json").read_text() == "[]"


def test_show_lists_missing_values_and_flags(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_run(runs)
    path = find_runs(runs)[0]
    edit(
        path,
        "DELETE FROM steps WHERE stage = 'evaluate'",
        "UPDATE epochs SET evaluate_ns = NULL",
        "UPDATE readings SET other_runs = 2",
    )
    capsys.readouterr()
    assert main(["show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "estimated without evaluate" in shown
    assert "other runs: 2 other timed runs" in shown


@pytest.mark.parametrize("words", [["export", "--format", "csv"], ["history"]], ids=["export", "history"])
def test_a_directory_with_other_files_is_refused_and_left_as_it_is(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    fake_run(runs)
    (path,) = find_runs(runs)
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    verb, *more = words
    named = [path.name] if verb == "export" else []
    capsys.readouterr()
    assert main([verb, *named, *more, "--out", str(out), "--runs-dir", str(runs)]) == 2
    assert "contains thesis.txt" in capsys.readouterr().err
    assert [file.name for file in out.iterdir()] == ["thesis.txt"]
    (out / "thesis.txt").unlink()
    for _ in range(2):  # its own files are replaced
        assert main([verb, *named, *more, "--out", str(out), "--runs-dir", str(runs)]) == 0


@pytest.mark.usefixtures("blank_pictures")
def test_a_report_names_the_run_that_it_could_not_read(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake_run(runs, "--label", "whole")
    fake_run(runs, "--label", "damaged")
    broken = find_runs(runs)[1] / DATABASE
    broken.write_bytes(b"no database at all" * 100)
    capsys.readouterr()
    assert main(["report", "--runs-dir", str(runs), "--out", str(runs.parent / "out")]) == 0
    assert f"skipped: {broken}" in capsys.readouterr().err


def test_a_terminal_without_the_characters_shows_what_it_can(runs: Path) -> None:
    """The plus-minus sign of an interval, for one, on a terminal that has only ASCII."""
    fake_run(runs, "--label", "\N{GREEK SMALL LETTER ALPHA}")
    command = [sys.executable, "-m", "profiler", "show", find_runs(runs)[0].name, "--runs-dir", str(runs)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "?" in done.stdout

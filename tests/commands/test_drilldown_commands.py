"""The verbs of the drill-downs, with the scripted fake and with PyTorch."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from epoch_gap.profiler.commands import flame
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared.options import add_workload, workload_arguments
from epoch_gap.profiler.drilldown import layers, lines, roofline, stacks
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.storage.artifacts import DRILLDOWNS, find_artifacts, read_json_artifact, store_artifacts
from epoch_gap.profiler.storage.reader import find_runs
from epoch_gap.reports.terminal.drilldowns import phase_shares
from epoch_gap.workloads import watched_steps
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.registry import FRAMEWORKS, Entry, Options
from epoch_gap.workloads.watched_steps import WatchedSteps
from tests.helpers.runs import MakeRun
from tests.helpers.sampling import sampled_phases, skip_without_sampling

SYNTHETIC = ["--data", "synthetic", "--batch-size", "2", "--quiet"]


@pytest.fixture(autouse=True)
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the machine's peak rates with little work."""
    monkeypatch.setattr(roofline, "SIDE", 128)
    monkeypatch.setattr(roofline, "COPIED", 100_000)


def drill(runs: Path, verb: str, *more: str, framework: str = "torch") -> int:
    words = [verb, "--framework", framework, *SYNTHETIC, "--device", "cpu", "--steps", "2", "--runs-dir", str(runs)]
    return main([*words, *more])


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The frameworks of all watched trainings, in order."""
    names: list[str] = []
    train = watched_steps.train

    def counted(framework: Framework, *args: Any, **options: Any) -> WatchedSteps:
        names.append(framework.name)
        return train(framework, *args, **options)

    monkeypatch.setattr(watched_steps, "train", counted)
    return names


def test_layers_and_operators_are_stored_printed_and_shown_in_the_report_of_a_comparable_run(
    runs: Path, capsys: pytest.CaptureFixture[str], trainings: list[str]
) -> None:
    assert drill(runs, "layers", "--operators") == 0
    printed = capsys.readouterr().out
    assert "layer4.1.conv2" in printed
    assert "of the instrumented phase" in printed
    assert "% of peak" in printed
    assert "peak rates: NumPy GFLOP/s " in printed
    assert "torch GB/s " in printed
    assert "at this machine's peak rates" in printed
    assert "convolution" in printed
    assert trainings == ["torch", "torch"], "torch.profiler needs a training of its own"
    assert find_runs(runs) == [], "a report does not count a drill-down as a run"

    script = ["--steps", "3", "--train-limit", "40", "--test-limit", "4", "--runs-dir", str(runs)]
    assert main(["run", "--framework", "torch", *SYNTHETIC, "--device", "cpu", *script]) == 0
    out = runs.parent / "out"
    assert main(["report", "--runs-dir", str(runs), "--out", str(out)]) == 0
    assert (out / "layers.png").is_file()
    assert "Layers" in (out / "index.html").read_text()
    for data in map(read_json_artifact, find_artifacts(runs, layers.LAYERS)):
        found = layers.layers_from_json(data)
        for direction in layers.Direction:
            assert 0 < found.covered(direction) <= 1 + 1e-6, "layers are part of their phase"


def stored(runs: Path, file: str) -> list[Any]:
    return [read_json_artifact(path) for path in find_artifacts(runs, file)]


def test_one_training_gives_layers_and_operators_if_its_layers_name_the_operators(
    runs: Path, capsys: pytest.CaptureFixture[str], trainings: list[str]
) -> None:
    assert drill(runs, "layers", "--operators", framework="fake") == 0
    assert trainings == ["fake"]
    assert stored(runs, layers.LAYERS) == stored(runs, layers.OPERATORS) != []
    printed = capsys.readouterr().out
    assert printed.index("layers.json") < printed.index("% of peak") < printed.index("operators.json")
    assert "operator category" in printed
    assert "data movement (a separate phase)" in printed


@pytest.mark.parametrize(("verb", "file"), [("layers", layers.LAYERS), ("operators", layers.OPERATORS)])
def test_a_verb_alone_stores_its_own_file(runs: Path, trainings: list[str], verb: str, file: str) -> None:
    assert drill(runs, verb, framework="fake") == 0
    assert trainings == ["fake"]
    assert [path.name for path in (runs / DRILLDOWNS).glob("*/*")] == [file]


@pytest.mark.parametrize("verb", ["layers", "operators"])
def test_a_framework_without_layer_timings_is_refused_in_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    def without_layer_timings(options: Options) -> Framework:
        framework: Any = FRAMEWORKS["fake"].build(options)
        framework.layer_timings = None
        return framework

    monkeypatch.setitem(FRAMEWORKS, "torch", Entry(without_layer_timings))
    assert drill(runs, verb) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: layers and operators of scripted fake cannot be timed")
    assert errors.count("\n") == 1
    assert not runs.exists(), "nothing is stored"


def test_the_layers_of_a_compiled_step_are_refused(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drill(runs, "layers", "--compile", framework="mlx") == 2
    assert "layers and operators of MLX cannot be timed" in capsys.readouterr().err


def test_lines_of_a_named_function_are_timed_and_shown(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drill(runs, "lines", "--function", "torch/nn/modules/conv.py:Conv2d._conv_forward") == 0
    printed = capsys.readouterr().out
    assert "F.conv2d" in printed
    assert "an instrumented step takes" in printed
    stored = read_json_artifact(find_artifacts(runs, lines.LINES, "lines-torch-")[0])
    (function,) = lines.lines_from_json(stored).functions
    assert (function.file, function.name) == ("torch/nn/modules/conv.py", "Conv2d._conv_forward")
    assert sum(line.hits for line in function.lines) >= 20 * 2
    assert function.seconds > 0


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ([], "to find its hot functions"),
        (["--function", "conv.py"], "FILE:NAME"),
        (["--function", "nowhere.py:nothing"], "no function nothing"),
    ],
)
def test_lines_of_unknown_functions_are_refused_in_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str], more: list[str], reason: str
) -> None:
    assert drill(runs, "lines", *more, framework="fake") == 2
    errors = capsys.readouterr().err
    assert reason in errors
    assert errors.count("\n") == 1


def test_stacks_without_a_hot_python_function_are_refused_in_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store_artifacts(runs, "flame-fake-cpu", {stacks.HOT: ""})
    assert drill(runs, "lines", framework="fake") == 2
    errors = capsys.readouterr().err
    assert "native code" in errors
    assert errors.count("\n") == 1


def test_samples_are_counted_by_phase_and_stored_as_pictures(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skip_without_sampling()
    words = ["flame", "--framework", "fake", *SYNTHETIC, "--steps", "60", "--rate", "100", "--runs-dir", str(runs)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    samples = sampled_phases(printed)
    assert {"forward", "backward", "step"} <= samples.keys()
    assert sum(phase.count for phase in samples.values()) > 0
    folder = Path(printed.splitlines()[-1])
    assert json.loads((folder / stacks.SPEEDSCOPE).read_text())["profiles"][0]["samples"]
    assert (folder / stacks.SVG).read_text().startswith("<?xml")
    assert find_runs(runs) == []


def test_a_drill_down_does_not_start_beside_another_timed_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hold_run_lock("drilldown", allow_others=False):
        assert drill(runs, "layers", framework="fake") == 2
        assert "this process records another run" in capsys.readouterr().err
        assert drill(runs, "layers", "--allow-busy", framework="fake") == 0


def test_without_py_spy_the_error_line_names_make_setup(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(runs / "bin" / "python"))
    assert main(["flame", "--framework", "fake", *SYNTHETIC, "--runs-dir", str(runs)]) == 2
    assert "make setup" in capsys.readouterr().err


def test_shares_are_those_of_the_training_loop(make_run: MakeRun) -> None:
    """A run spends a quarter of its steps in forward."""
    frames = {phase: stacks.Frame(phase, "", 0) for phase in ("forward", "backward")}
    found = stacks.Stacks({(frames["forward"],): 25, (frames["backward"],): 75}, outside=900, rate=50)
    table = phase_shares(make_run([1.0] * 8), found)
    rows = {line.split()[0]: line.split() for line in table.splitlines()}
    assert rows["forward"][1:] == ["25", "25.0", "%", "25.0", "%", "+0.0"]
    assert rows["backward"][1:] == ["75", "75.0", "%", "75.0", "%", "+0.0"]
    assert "900 samples" in table


@pytest.mark.usefixtures("blank_pictures")
def test_an_unreadable_drill_down_is_left_out_of_the_report_with_a_warning(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ["--steps", "6", "--train-limit", "40", "--test-limit", "4", "--runs-dir", str(runs)]
    assert main(["run", "--framework", "fake", *SYNTHETIC, *script]) == 0
    contents = {
        "1-layers-fake-cpu-a/layers.json": "{}",
        "2-lines-fake-cpu-b/lines.json": "no JSON",
        "3-flame-fake-cpu-c/stacks.txt": "forward 3",
        "3-flame-fake-cpu-c/counts.json": "{}",
    }
    for name, text in contents.items():
        path = runs / DRILLDOWNS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert main(["report", "--runs-dir", str(runs), "--out", str(runs.parent / "out")]) == 0
    errors = capsys.readouterr().err
    assert all(f"{name} is skipped" in errors for name in list(contents)[:3])


def test_a_command_line_is_made_from_options_with_overrides_and_leaves_them_alone(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_workload(parser)
    args = parser.parse_args(["--steps", "3", "--seed", "7", "--quiet", "--runs-dir", str(tmp_path)])
    before = dict(vars(args))
    words = workload_arguments(args, runs_dir=tmp_path / "sampled", test_limit=128, steps=None)
    expected = before | {"runs_dir": tmp_path / "sampled", "test_limit": 128, "steps": None}
    assert vars(parser.parse_args(words)) == expected
    assert vars(args) == before


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("py-spy> Sampling process 100 times a second\n\npy-spy> no python frames found\n", "no python frames found"),
        ("Error: Permission Denied\nTry running again with elevated permissions\n", "Error: Permission Denied"),
        ("error: no such framework\n", "no such framework"),
        ("", "py-spy gave no reason"),
    ],
)
def test_the_reason_why_nothing_was_sampled_is_quoted(stderr: str, reason: str) -> None:
    assert reason in flame.reason_of_failure(stderr)

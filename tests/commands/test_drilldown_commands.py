"""The drill-downs' verbs, in this process or one of their own, with the scripted fake and with PyTorch."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.drilldown import layers, lines, stacks
from epoch_gap.profiler.machine import run_lock as busy
from epoch_gap.profiler.storage import store
from epoch_gap.reports.terminal.tables import phase_shares
from tests.helpers.runs import MakeRun

SYNTHETIC = ["--data", "synthetic", "--batch-size", "4", "--quiet"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EPOCH_GAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CIFAR10_DATA", raising=False)
    return tmp_path / "runs"


def drill(runs: Path, verb: str, *more: str, framework: str = "torch") -> int:
    words = [verb, "--framework", framework, *SYNTHETIC, "--device", "cpu", "--steps", "2", "--runs-dir", str(runs)]
    return main([*words, *more])


def test_layers_and_operators_are_stored_printed_and_shown_in_the_report_of_the_same_kind_of_run(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drill(runs, "layers") == 0
    printed = capsys.readouterr().out
    assert "layer4.1.conv2" in printed
    assert "of the phase while watched" in printed
    assert "at this machine's peak" in printed
    assert drill(runs, "operators") == 0
    assert "convolution" in capsys.readouterr().out
    assert store.find(runs) == [], "a drill-down is no run of a report"

    assert main(["run", "--framework", "torch", *SYNTHETIC, "--device", "cpu", "--steps", "3",
                 "--train-limit", "40", "--test-limit", "4", "--runs-dir", str(runs)]) == 0  # fmt: skip
    out = runs.parent / "out"
    assert main(["report", "--runs-dir", str(runs), "--out", str(out)]) == 0
    assert (out / "layers.png").is_file()
    assert "Layers" in (out / "index.html").read_text()
    for data in map(store.json_of, store.drilldowns(runs, layers.LAYERS)):
        found = layers.from_json(data)
        for direction in layers.Direction:
            assert 0 < found.covered(direction) <= 1 + 1e-6, "layers lie within their phase"


def test_lines_of_a_named_function_are_timed_and_shown(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drill(runs, "lines", "--function", "torch/nn/modules/conv.py:Conv2d._conv_forward") == 0
    printed = capsys.readouterr().out
    assert "F.conv2d" in printed
    assert "watching made a step" in printed
    stored = store.json_of(store.drilldowns(runs, lines.FILE, "lines-torch-")[0])
    (function,) = lines.from_json(stored)
    assert (function.file, function.name) == ("torch/nn/modules/conv.py", "Conv2d._conv_forward")
    assert sum(line.hits for line in function.lines) >= 20 * 2
    assert function.seconds > 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "finds its hot functions"),
        (["--function", "conv.py"], "FILE:NAME"),
        (["--function", "nowhere.py:nothing"], "no function nothing"),
    ],
)
def test_lines_of_nothing_known_are_refused_in_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str], more: list[str], says: str
) -> None:
    assert drill(runs, "lines", *more, framework="fake") == 2
    errors = capsys.readouterr().err
    assert says in errors
    assert errors.count("\n") == 1


def test_stacks_without_a_hot_python_function_have_no_lines_to_time(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.keep_files(runs, "flame-fake-cpu", {stacks.HOT: ""})
    assert drill(runs, "lines", framework="fake") == 2
    errors = capsys.readouterr().err
    assert "native code" in errors
    assert errors.count("\n") == 1


def can_sample() -> bool:
    """Whether this machine lets py-spy look at a process that it starts."""
    spy = Path(sys.executable).parent / "py-spy"
    command = [spy, "record", "--nonblocking", "--format", "raw", "-o", "/dev/null", "--"]
    busy = [sys.executable, "-c", "import time\nend = time.time() + 0.5\nwhile time.time() < end: pass"]
    return spy.is_file() and subprocess.run([*command, *busy], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_sample(), reason="py-spy may not sample here")
def test_samples_agree_with_the_marks_of_the_same_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["flame", "--framework", "fake", *SYNTHETIC, "--steps", "150", "--rate", "100", "--runs-dir", str(runs)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if "%" in line}
    samples = sum(int(row[1]) for row in rows.values())
    for phase in ("forward", "backward", "step"):
        share, marked = float(rows[phase][2]) / 100, float(rows[phase][4]) / 100
        assert abs(share - marked) < 5 * math.sqrt(marked * (1 - marked) / samples), "beyond the error of sampling"
    folder = Path(printed.splitlines()[-1])
    assert json.loads((folder / stacks.SPEEDSCOPE).read_text())["profiles"][0]["samples"]
    assert (folder / stacks.SVG).read_text().startswith("<?xml")
    assert store.find(runs) == []


def test_two_drill_downs_at_once_are_two_timed_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with busy.present("drilldown", allow_others=False):
        assert drill(runs, "layers", framework="fake") == 2
        assert "another timed run" in capsys.readouterr().err
        assert drill(runs, "layers", "--allow-busy", framework="fake") == 0


def test_without_py_spy_one_line_says_what_to_do(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(runs / "bin" / "python"))
    assert main(["flame", "--framework", "fake", *SYNTHETIC, "--runs-dir", str(runs)]) == 2
    assert "make setup" in capsys.readouterr().err


def test_shares_are_of_the_training_loop_alone(make_run: MakeRun) -> None:
    """A run spends a quarter of its steps in forward."""
    frames = {phase: stacks.Frame(phase, "", 0) for phase in ("forward", "backward")}
    found = stacks.Stacks({(frames["forward"],): 25, (frames["backward"],): 75}, outside=900, rate=50)
    table = phase_shares(make_run([1.0] * 8), found)
    rows = {line.split()[0]: line.split() for line in table.splitlines()}
    assert rows["forward"][1:] == ["25", "25.0", "%", "25.0", "%", "+0.0"]
    assert rows["backward"][1:] == ["75", "75.0", "%", "75.0", "%", "+0.0"]
    assert "900 samples" in table


def test_a_drill_down_that_cannot_be_read_is_left_out_of_the_report_and_named(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = ["--steps", "6", "--train-limit", "40", "--test-limit", "4", "--runs-dir", str(runs)]
    assert main(["run", "--framework", "fake", *SYNTHETIC, *script]) == 0
    contents = {"1-layers-fake-cpu-a/layers.json": "{}", "2-lines-fake-cpu-b/lines.json": "no JSON",
                "3-flame-fake-cpu-c/stacks.txt": "forward 3", "3-flame-fake-cpu-c/counts.json": "{}"}  # fmt: skip
    for name, text in contents.items():
        path = runs / store.DRILLDOWNS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert main(["report", "--runs-dir", str(runs), "--out", str(runs.parent / "out")]) == 0
    errors = capsys.readouterr().err
    assert all(f"{name} is left out" in errors for name in list(contents)[:3])

"""Runs of custom training loops: stored however they end, under any name, without unknown values."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.analysis.accuracy import list_evaluations
from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.comparison.identity import series_key, subject_id, why_incomparable
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.instrument import READ_EVERY_NS, at_intervals, recording
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import Reading
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.profiler.storage.writer import create_run
from tests.helpers.clocks import ScriptedClock
from tests.helpers.paths import ROOT
from tests.helpers.runs import manifest

CLOCKS = {Phase.FORWARD: "my forward", Phase.BACKWARD: "my backward"}


def steps(recorder: Recorder, count: int) -> None:
    recorder.start_epoch(0)
    recorder.start_stage("train")
    for _ in range(count):
        recorder.mark(Phase.FORWARD)
        recorder.mark(Phase.BACKWARD)
        recorder.mark(Phase.METRICS)
        recorder.close_step(10, 1.5, 5)


def recorded(runs: Path, name: str = "mine", count: int = 12, **more: Any) -> Run:
    before = set(find_runs(runs))
    with recording(runs, name, "1", CLOCKS, batch_size=10, train_images=120, **more) as recorder:
        steps(recorder, count)
        recorder.close_epoch(0.1, 1.5, 0.5)
    (path,) = set(find_runs(runs)) - before
    return read_run(path)


def test_a_mark_without_a_clock_is_charged_to_other_and_the_clocks_are_stored(tmp_path: Path) -> None:
    run = recorded(tmp_path, dtype="float32")
    assert run.train.phase_ns.keys() == {Phase.FORWARD, Phase.BACKWARD, Phase.OTHER}
    framework = run.manifest.framework
    assert (framework.clocks, framework.conditions) == (dict(CLOCKS), {"dtype": "float32"})
    assert framework.phases == ("forward", "backward", "other")
    assert (run.manifest.data.kind, run.manifest.data.sha256) == ("own", None)
    assert len(run.readings) == 1
    assert run.manifest.peak_rss_bytes > 0


@pytest.mark.parametrize(
    "name", ['my $loop$ / <b>"x"</b> [**]', "../../elsewhere", "Réseau\nde neurones", "x" * 300, "."], ids=repr
)
def test_a_name_may_contain_any_text(name: str, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    run = recorded(runs, name, device="my/device", label="", data="*")
    assert run.path.parent == runs
    assert (run.framework.name, run.framework.device) == (name, "my/device")
    assert main(["report", "--runs-dir", str(runs), "--out", str(tmp_path / "out")]) == 0
    assert main(["show", run.id, "--runs-dir", str(runs)]) == 0
    assert '<b>"x"' not in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.usefixtures("blank_pictures")
@pytest.mark.parametrize(
    "text",
    [
        "x" * 500,
        "a/b\\c\nd\te",
        "nul\0byte",
        "\N{ROCKET}" * 9,
        "\u05e9\u05dc\u05d5\u05dd \u202e abc",
        "data/\udce9t\udce9",
    ],
    ids=["long", "slashes", "NUL", "emoji", "right to left", "not UTF-8"],
)
def test_every_text_may_be_any(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    labels = {"label": text, "device": text, "data": text, "note": text}
    run = recorded(runs, "mine", **labels)
    other = recorded(runs, text, **labels)
    stored = text.encode("utf-8", "replace").decode()
    assert (run.manifest.config.label, run.framework.device, other.framework.name) == (stored, stored, stored)
    capsys.readouterr()
    for verb, *more in (["report"], ["history"], ["compare", run.id, other.id]):
        assert main([verb, *more, "--out", str(tmp_path / verb), "--runs-dir", str(runs)]) == 0
    for words in (["export", run.id, "--format", "csv"], ["trace", run.id], ["show", other.id], ["list"]):
        assert main([*words, "--runs-dir", str(runs)]) == 0
    assert not re.findall(".*[\x00-\x09\x0b-\x1f\u202a-\u202e]", capsys.readouterr().out)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (ZeroDivisionError, "failed")])
def test_a_loop_that_fails_keeps_its_steps(error: type[BaseException], status: str, tmp_path: Path) -> None:
    def loop() -> None:
        with recording(tmp_path, "mine", "1", CLOCKS, batch_size=10, train_images=120) as recorder:
            steps(recorder, 4)
            raise error("stop")

    with pytest.raises(error):
        loop()
    run = read_run(find_runs(tmp_path)[0])
    assert (run.status, len(run.train)) == (status, 4)
    assert run.events == ((("error", "ZeroDivisionError: stop"),) if status == "failed" else ())


@pytest.mark.usefixtures("blank_pictures")
@pytest.mark.parametrize("marked", [Phase.EVALUATE, Phase.FORWARD, Phase.METRICS], ids=str)
@pytest.mark.parametrize("trained", [12, 7], ids=["whole epoch", "part of one"])
def test_an_evaluation_is_charged_to_evaluate_once_regardless_of_its_marks(
    marked: Phase, trained: int, tmp_path: Path
) -> None:
    with recording(tmp_path, "mine", "1", CLOCKS, batch_size=10, train_images=120, test_images=20) as recorder:
        steps(recorder, trained)
        recorder.start_stage("evaluate")
        for _ in range(2):
            recorder.mark(marked)
            recorder.close_step(10, 1.5, 5)
        recorder.close_epoch(0.1, 1.5, 0.5, 1.5, 0.5)
    run = read_run(find_runs(tmp_path)[0])
    took = int(run.evaluate.wall_ns.sum())
    assert run.epochs[0].durations == {Phase.EVALUATE: took}
    epoch = analyse_run(run).asrun.own_epoch
    assert epoch.measured == (trained == 12)
    known = {phase: part.value for phase, part in epoch.phases.items() if part is not None}
    assert known[Phase.EVALUATE] == pytest.approx(took * 1e-9)
    assert sum(known.values()) == pytest.approx(epoch.total.value)
    assert main(["report", "--runs-dir", str(tmp_path), "--out", str(tmp_path / "out")]) == 0


def test_a_loop_without_its_requested_evaluation_is_not_a_whole_epoch(tmp_path: Path) -> None:
    run = recorded(tmp_path, test_images=20)
    assert "evaluate" in run.framework.phases
    assert analyse_run(run).asrun.own_epoch.phases[Phase.EVALUATE] is None


def test_a_condition_that_is_not_json_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not JSON"):
        recorded(tmp_path, layout={1, 2})
    assert list(tmp_path.iterdir()) == []


def test_with_a_wait_some_steps_are_fenced(tmp_path: Path) -> None:
    waits: list[None] = []
    run = recorded(tmp_path, wait=lambda: waits.append(None))
    assert run.train.fenced.tolist() == [False] * 4 + [True] * 3 + [False] * 4 + [True]
    assert len(waits) == 4 * 3, "before each mark of a fenced step"
    assert not recorded(tmp_path).train.fenced.any()


def test_runs_can_be_compared_if_their_data_have_the_same_name(tmp_path: Path) -> None:
    one, same, other = (recorded(tmp_path, data=data) for data in ("digits", "digits", "letters"))
    assert why_incomparable(one, same) is None
    assert why_incomparable(one, other) == "data digits and letters differ"


def test_a_loop_beside_another_timed_run_is_refused_and_may_be_allowed(tmp_path: Path) -> None:
    with hold_run_lock("another", allow_others=False):
        with pytest.raises(UserError, match="this process records another run"):
            recorded(tmp_path)
        assert not find_runs(tmp_path)
        assert recorded(tmp_path, allow_busy=True).status == "complete"


def test_the_machine_is_read_at_intervals(clock: ScriptedClock) -> None:
    reading = Reading(0, 1, 1, 1, 0.0, 0.0, None, 0.0, None, 0)
    look = at_intervals(lambda: reading, clock)
    seen = []
    for _ in range(5):
        seen.append(look() is reading)
        clock.advance(READ_EVERY_NS // 2)
    assert seen == [True, False, True, False, True]


def test_numbers_of_numpy_are_stored_as_numbers(tmp_path: Path) -> None:
    with recording(tmp_path, "mine", "1", CLOCKS, batch_size=10, train_images=10) as recorder:
        numbers: Any = np.int64(10), np.float32(1.5), np.int64(5)
        recorder.start_epoch(0)
        recorder.start_stage("train")
        recorder.mark(Phase.FORWARD)
        recorder.close_step(*numbers)
        recorder.close_epoch(*(np.float32([0.5, 1.5, 0.5])))
    run = read_run(find_runs(tmp_path)[0])
    assert (run.train.images.tolist(), run.train.loss.tolist(), run.train.correct.tolist()) == ([10], [1.5], [5])
    epoch = run.epochs[0]
    assert (epoch.lr, epoch.train_loss, epoch.train_acc) == (0.5, 1.5, 0.5)


@pytest.mark.usefixtures("blank_pictures")
def test_a_loop_need_not_tell_losses_accuracies_or_a_learning_rate(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    sizes = {"batch_size": 10, "train_images": 100, "test_images": 20}
    with recording(runs, "mine", "1", CLOCKS, **sizes) as recorder:
        for epoch in range(2):
            recorder.start_epoch(epoch)
            recorder.start_stage("train")
            for _ in range(10):
                recorder.mark(Phase.FORWARD)
                recorder.close_step(10)
            recorder.start_stage("evaluate")
            for _ in range(2):
                recorder.mark(Phase.EVALUATE)
                recorder.close_step(10, correct=None)
            recorder.close_epoch(lr=float("nan"))
    run = read_run(find_runs(runs)[0])
    assert [epoch.lr for epoch in run.epochs] == [None, None]
    assert list_evaluations(run) == []
    for words in (
        ["show", run.id],
        ["trace", run.id],
        ["export", run.id, "--format", "json"],
        ["report", "--out", str(tmp_path / "out")],
    ):
        assert main([*words, "--runs-dir", str(runs)]) == 0
    epoch = json.loads((tmp_path / "out" / "summary.json").read_text())["subjects"][0]["accuracy"]["epochs"][0]
    assert (epoch["lr"], epoch["train_acc"]) == (None, None)


def test_ranks_of_one_training_do_not_exclude_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"batch_size": 10, "train_images": 10}
    with recording(tmp_path, "mine", "1", CLOCKS, **sizes):
        refused = pytest.raises(UserError, match="pass allow_busy=True")
        with refused, recording(tmp_path, "mine", "1", CLOCKS, **sizes):
            pass
    for name, value in {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    with recording(tmp_path, "mine", "1", CLOCKS, **sizes), recording(tmp_path, "mine", "1", CLOCKS, **sizes):
        pass
    assert len(find_runs(tmp_path)) == 3


def test_a_forked_child_neither_ends_the_run_nor_removes_its_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", IN_A_CHILD, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["running", 1, "complete", 2]
    assert done.stderr.count("a child of the one that records, is not recorded") == 1


IN_A_CHILD = """
import json, os, sys
from pathlib import Path
from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.reader import find_runs, read_run
runs = Path(sys.argv[1])
status = None
try:
    with recording(runs, "mine", "1", {Phase.FORWARD: ""}, batch_size=1, train_images=10) as recorder:
        recorder.start_epoch(0)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1)
        recorder.flush()
        child = os.fork()
        if child == 0:
            recorder.mark(Phase.FORWARD)
            recorder.mark(Phase.FORWARD)
            sys.exit(0)
        os.waitpid(child, 0)
        run = read_run(find_runs(runs)[0])
        seen = [run.status, len(run.train)]
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1)
        recorder.close_epoch()
except SystemExit:
    os._exit(0)
run = read_run(find_runs(runs)[0])
print(json.dumps([*seen, run.status, len(run.train)]))
"""


def test_epochs_of_another_size_are_not_compared(tmp_path: Path) -> None:
    first = recorded(tmp_path, "one")
    with recording(tmp_path, "two", "1", CLOCKS, batch_size=10, train_images=240) as recorder:
        steps(recorder, 12)
    second = read_run(find_runs(tmp_path)[1])
    assert why_incomparable(first, second) == "epochs of 120 + 0 images and 240 + 0 images differ"


def test_what_a_loop_told_about_itself_separates_histories(tmp_path: Path) -> None:
    runs = [recorded(tmp_path, dtype=dtype) for dtype in ("float32", "float64", "float32")]
    series = [series_key(run.manifest) for run in runs]
    assert series[0] == series[2] != series[1]


def test_a_name_and_a_label_cannot_be_mistaken_for_another_name(tmp_path: Path) -> None:
    runs = [recorded(tmp_path, "net-fast"), recorded(tmp_path, "net", label="fast")]
    assert len({subject_id(run.manifest) for run in runs}) == 2


PER_IMAGE_NS, PER_STEP_NS = 1_000, 50_000


def recorded_on(clock: ScriptedClock, folder: Path, sizes: Sequence[int], test_sizes: Sequence[int] = ()) -> Run:
    """A run of batches of these sizes, each of which takes `PER_STEP_NS` and `PER_IMAGE_NS` for every image."""
    full = {"train_images": 64_000, "test_images": 0}
    writer = create_run(folder, manifest(config={"batch_size": 64}, full_epoch=full))
    recorder = Recorder(set(Phase), writer, clock)
    recorder.start_epoch(0)
    for stage, of_stage in (("train", sizes), ("evaluate", test_sizes)):
        recorder.start_stage(stage)
        for size in of_stage:
            clock.advance(PER_STEP_NS + size * PER_IMAGE_NS)
            recorder.mark(Phase.FORWARD)
            recorder.close_step(size)
    recorder.close_epoch()
    writer.finish("complete")
    return read_run(writer.path)


def test_batches_of_varying_size_are_counted_by_their_images(clock: ScriptedClock, tmp_path: Path) -> None:
    """Token budgets: no batch need have `batch_size` images, and the epoch is that of the mean batch."""
    sizes = np.random.default_rng(20261125).integers(20, 120, 200).tolist()
    epoch = analyse_run(recorded_on(clock, tmp_path, sizes)).asrun.own_epoch
    steps = 64_000 / np.mean(sizes[1:])
    truth = (64_000 * PER_IMAGE_NS + steps * PER_STEP_NS) / 1e9
    interval = epoch.total.interval()
    assert interval.value == pytest.approx(truth, rel=0.01)
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < truth < interval.high


@pytest.mark.parametrize(("mark_cost_ns", "flagged"), [(100.0, False), (1_000.0, True)])
def test_steps_that_the_recorder_slows_down_are_flagged(
    clock: ScriptedClock, tmp_path: Path, mark_cost_ns: float, flagged: bool
) -> None:
    """Steps of 66 us with one mark."""
    run = recorded_on(clock, tmp_path, [16] * 30)
    run = replace(run, manifest=replace(run.manifest, mark_cost_ns=mark_cost_ns))
    assert ("recorder counts" in analyse_run(run).flag_titles) == flagged


def test_evaluations_within_an_epoch_count_as_often_as_they_were_made(clock: ScriptedClock, tmp_path: Path) -> None:
    """Four evaluations of 40 images: the epoch was measured whole, with all of them."""
    full = {"train_images": 1000, "test_images": 40}
    writer = create_run(tmp_path, manifest(config={"batch_size": 10}, full_epoch=full))
    recorder = Recorder(set(Phase), writer, clock)
    with recorder.epoch(0):
        for number in range(100):
            with recorder.step(10):
                clock.advance(20_000_000)
            if number % 25 == 24:
                with recorder.evaluation():
                    for _ in range(4):
                        with recorder.step(10):
                            clock.advance(5_000_000)
    writer.finish("complete")
    epoch = analyse_run(read_run(writer.path)).asrun.own_epoch
    part = epoch.phases[Phase.EVALUATE]
    assert part is not None
    assert (epoch.measured, part.value) == (True, pytest.approx(0.08))
    assert epoch.total.value == pytest.approx(2.08)


def test_an_evaluation_without_a_size_is_taken_as_measured(clock: ScriptedClock, tmp_path: Path) -> None:
    epoch = analyse_run(recorded_on(clock, tmp_path, [64] * 20, [10] * 4)).asrun.own_epoch
    part = epoch.phases[Phase.EVALUATE]
    assert part is not None
    assert part.value == pytest.approx(4 * (PER_STEP_NS + 10 * PER_IMAGE_NS) / 1e9)


@pytest.mark.parametrize("name", ["all-reduce", "Clip", "wall", "", "x" * 41, 'a"b', 3])
def test_a_name_that_can_be_no_column_is_refused_and_nothing_is_stored(tmp_path: Path, name: Any) -> None:
    clocks = {Phase.FORWARD: "model(x)", name: "something"}
    refused = pytest.raises(UserError, match="can be no phase")
    with refused, recording(tmp_path, "mine", "1", clocks, batch_size=10, train_images=10):
        pass
    assert list(tmp_path.iterdir()) == []


def own_phase_run(clock: ScriptedClock, runs: Path, name: str, clocks: Sequence[str], seconds: float = 0.5) -> Run:
    """Three epochs of ten steps: a second of forward, then `seconds` for each of the other clocks."""
    before = set(find_runs(runs))
    with recording(runs, name, "1", dict.fromkeys(clocks, "mine"), batch_size=10, train_images=100) as recorder:
        for epoch in range(3):
            with recorder.epoch(epoch):
                for _ in range(10):
                    with recorder.step(10) as step:
                        clock.advance(1_000_000_000)
                        step.mark("forward")
                        for own in clocks[1:]:
                            clock.advance(round(seconds * 1e9))
                            step.mark(own)
    (path,) = set(find_runs(runs)) - before
    return read_run(path)


@pytest.fixture
def on_clock(clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch) -> ScriptedClock:
    monkeypatch.setattr("epoch_gap.profiler.instrument.Recorder", partial(Recorder, clock=clock))
    return clock


@pytest.mark.usefixtures("blank_pictures")
def test_own_phases_are_in_every_table_picture_and_comparison(on_clock: ScriptedClock, tmp_path: Path) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    with_own = own_phase_run(on_clock, runs, "slow", ["forward", "clip_grad", "all_reduce"])
    own_phase_run(on_clock, runs, "fast", ["forward", "all_reduce"])
    assert [phase for phase in with_own.train.phase_ns if phase.is_own] == ["clip_grad", "all_reduce"]
    assert main(["report", "--runs-dir", str(runs), "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    slow, fast = (subject["phases"]["asrun"] for subject in summary["subjects"])
    assert slow["clip_grad"]["seconds"] == pytest.approx(5)
    assert "clip_grad" not in fast
    by_phase = summary["gaps"][0]["by_phase"]["asrun"]
    assert by_phase["clip_grad"]["value"] == pytest.approx(5)
    assert sum(part["value"] for part in by_phase.values()) == pytest.approx(summary["gaps"][0]["seconds"]["value"])
    assert "clip_grad" in (out / "phases.csv").read_text()
    assert "clip_grad" in (out / "index.html").read_text()
    for arguments in (["show", with_own.id], ["trace", with_own.id], ["history", "--out", str(out / "history")]):
        assert main([*arguments, "--runs-dir", str(runs)]) == 0
    assert "clip_grad_s" in (out / "history" / "history.csv").read_text().splitlines()[0]
    assert (
        main(["export", with_own.id, "--format", "csv", "--out", str(out / "export"), "--runs-dir", str(runs)]) == 0
    )
    (steps,) = out.rglob("steps.csv")
    assert "clip_grad_ns" in steps.read_text().splitlines()[0]


def test_a_process_without_an_own_mark_has_no_time_there(on_clock: ScriptedClock, tmp_path: Path) -> None:
    clocks = ["forward", "clip_grad"]
    marked = own_phase_run(on_clock, tmp_path, "mine", clocks, 0.5)
    unmarked = own_phase_run(on_clock, tmp_path, "mine", clocks[:1])
    epoch = Subject.from_runs([marked, unmarked]).epoch
    assert epoch.total.value == pytest.approx((15 + 10) / 2)
    part = epoch.phases[Phase("clip_grad")]
    assert part is not None
    assert part.value == pytest.approx(5 / 2)


def test_an_epoch_may_have_any_number(tmp_path: Path) -> None:
    with recording(tmp_path, "mine", "1", CLOCKS, batch_size=10, train_images=10) as recorder:
        recorder.start_epoch(10**9)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(10, 1.5, 5)
        recorder.close_epoch(0.1, 1.5, 0.5)
    assert main(["show", str(find_runs(tmp_path)[0])]) == 0


@pytest.mark.parametrize("number", [120.0, np.int64(120), np.float32(120)], ids=lambda n: type(n).__name__)
def test_a_size_may_be_any_whole_number(tmp_path: Path, number: Any) -> None:
    with recording(tmp_path, "mine", "1", CLOCKS, batch_size=number, train_images=number) as recorder:
        steps(recorder, 1)
    (path,) = find_runs(tmp_path)
    assert read_run(path).manifest.full_epoch.train_images == 120


@pytest.mark.parametrize("number", [0, -10, 0.5, float("nan"), float("inf"), "10", None, [10]], ids=repr)
def test_any_other_size_is_refused_by_name_before_anything_is_stored(tmp_path: Path, number: Any) -> None:
    refused = pytest.raises(UserError, match="batch_size must be a whole number")
    with refused, recording(tmp_path, "mine", "1", CLOCKS, batch_size=number, train_images=120):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_label_is_none_or_empty(tmp_path: Path) -> None:
    assert {recorded(tmp_path, label=label).manifest.config.label for label in (None, "")} == {""}


def stream(clock: ScriptedClock, runs: Path, name: str, unit: str, sizes: Sequence[int], ns_per_unit: int) -> Run:
    """One endless epoch whose steps take `ns_per_unit`, a checkpoint of a second, and an evaluation of two."""
    before = set(find_runs(runs))
    clocks = {"forward": "mine"}
    with (
        recording(runs, name, "1", clocks, batch_size=100, train_images=None, unit=unit) as recorder,
        recorder.epoch(0),
    ):
        for size in sizes:
            with recorder.step(size) as step:
                clock.advance(size * ns_per_unit)
                step.mark("forward")
        with recorder.outside(Phase.CHECKPOINT):
            clock.advance(1_000_000_000)
        with recorder.evaluation(), recorder.step(100) as step:
            clock.advance(2_000_000_000)
            step.mark("forward")
    (path,) = set(find_runs(runs)) - before
    return read_run(path)


@pytest.mark.parametrize("sizes", [[100] * 30, [50, 150, 100] * 10, [64, 100, 136] * 10])
def test_a_stream_is_reported_per_thousand_of_its_units(
    on_clock: ScriptedClock, tmp_path: Path, sizes: Sequence[int]
) -> None:
    epoch = analyse_run(stream(on_clock, tmp_path, "mine", "tokens", sizes, 1_000_000)).asrun.any_epoch
    assert {phase: part.value for phase, part in epoch.phases.items() if part and part.value} == pytest.approx(
        {"forward": 1.0, "checkpoint": 1 / 3, "evaluate": 2 / 3}
    )
    assert (epoch.total.value, epoch.measured) == (pytest.approx(2.0), False)


@pytest.mark.usefixtures("blank_pictures")
def test_reports_of_streams_say_what_their_seconds_are_per(
    on_clock: ScriptedClock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    a = stream(on_clock, runs, "a", "tokens", [100] * 30, 1_000_000)
    b = stream(on_clock, runs, "b", "tokens", [100] * 40, 3_000_000)
    for arguments in (["report", "--out", str(out)], ["compare", a.id, b.id], ["history"], ["show", a.id]):
        assert main([*arguments, "--runs-dir", str(runs)]) == 0
    shown = capsys.readouterr().out
    assert "s per 1000 tokens" in shown
    assert "steps of 100 tokens" in shown
    page = (out / "index.html").read_text()
    assert "time per 1000 tokens" in page
    assert ">nan<" not in page, "no loss was told"
    for text in (shown, page):
        assert "seconds per epoch" not in text
        assert " s per epoch" not in text
    summary = json.loads((out / "summary.json").read_text())
    assert {subject["per"] for subject in summary["subjects"]} == {"1000 tokens"}
    assert summary["gaps"][0]["seconds"]["value"] == pytest.approx(3 + 3 / 4 - 2)


def test_sizes_in_other_units_are_not_compared(on_clock: ScriptedClock, tmp_path: Path) -> None:
    tokens, images = (
        stream(on_clock, tmp_path, "mine", unit, [100] * 10, 1_000_000) for unit in ("tokens", "images")
    )
    epoch = recorded(tmp_path)
    assert why_incomparable(tokens, images) == "epochs of 1000 tokens and 1000 images differ"
    assert why_incomparable(images, replace(epoch, manifest=replace(epoch.manifest, config=images.config))) == (
        "epochs of 1000 images and 120 + 0 images differ"
    )

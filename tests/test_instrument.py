"""Runs of custom training loops: stored however they end, under any name, without unknown values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.comparison.identity import why_incomparable
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.instrument import READ_EVERY_NS, at_intervals, recording
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import Reading
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.profiler.storage.run import Run
from tests.helpers.clocks import ScriptedClock

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
    assert framework.phases == ("backward", "forward", "other")
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
        with pytest.raises(UserError, match="another timed run"):
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


@pytest.mark.parametrize("number", [120.0, np.int64(120), np.float32(120)], ids=lambda n: type(n).__name__)
def test_a_size_may_be_any_whole_number(tmp_path: Path, number: Any) -> None:
    with recording(tmp_path, "mine", "1", CLOCKS, batch_size=number, train_images=number) as recorder:
        steps(recorder, 1)
    (path,) = find_runs(tmp_path)
    assert read_run(path).manifest.full_epoch.train_images == 120


@pytest.mark.parametrize("number", [0.5, float("nan"), float("inf"), "10", None, [10]], ids=repr)
def test_any_other_size_is_refused_by_name_before_anything_is_stored(tmp_path: Path, number: Any) -> None:
    refused = pytest.raises(UserError, match="batch_size must be a whole number")
    with refused, recording(tmp_path, "mine", "1", CLOCKS, batch_size=number, train_images=120):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_label_is_none_or_empty(tmp_path: Path) -> None:
    assert {recorded(tmp_path, label=label).manifest.config.label for label in (None, "")} == {""}

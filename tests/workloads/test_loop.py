"""The training loop with the scripted fake, on a clock that only its work moves."""

import io

import numpy as np
import pytest

from epoch_gap.profiler.analysis.stopping import StoppingRule
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import Step
from epoch_gap.workloads import loop
from epoch_gap.workloads.adapters.fake import Fake
from epoch_gap.workloads.loop import EvaluationPlan, ShouldStop
from epoch_gap.workloads.progress import Progress
from tests.helpers.clocks import TickingClock
from tests.helpers.recorded import RecordingSink

BATCH, TRAIN, TEST = 10, 400, 100


class AfterSteps:
    """Evaluates after `steps` training steps, on `batches` test batches."""

    def __init__(self, steps: int, batches: int) -> None:
        self._left, self._batches = steps, batches

    def is_due(self) -> bool:
        self._left -= 1
        return self._left == 0

    def ends_after(self, batches: int) -> bool:
        return batches == self._batches


def trained(
    clock: TickingClock, should_stop: ShouldStop, evaluation: EvaluationPlan, lazy: bool = False, costs: str = ""
) -> RecordingSink:
    fake = Fake(42, BATCH, costs or "forward=100,evaluate=1000", lazy, clock)
    sink = RecordingSink(clock)
    recorder = Recorder(fake.phases, sink, clock, wait=fake.wait)
    images, labels = np.zeros((TRAIN, 3, 1, 1), np.float32), np.zeros(TRAIN, np.int64)
    loop.train(
        fake,
        fake.loader(images, labels, BATCH, True, loop.timed_collate(recorder)),
        fake.loader(images[:TEST], labels[:TEST], BATCH, False, lambda collate: collate),
        recorder,
        Progress("fake", None, 3, io.StringIO()),
        epochs=1,
        should_stop=should_stop,
        evaluation=evaluation,
    )
    return sink


def of_stage(sink: RecordingSink, stage: str) -> list[Step]:
    return [step for step in sink.kept if step.stage == stage]


def test_an_evaluation_within_the_training_is_the_only_one() -> None:
    sink = trained(TickingClock(), lambda step: step.index == 9, AfterSteps(4, 3))
    train, evaluate = of_stage(sink, "train"), of_stage(sink, "evaluate")
    assert [step.index for step in train] == list(range(10))
    assert [step.index for step in evaluate] == [0, 1, 2]
    assert sum(step.start_ns < evaluate[0].start_ns for step in train) == 4
    (epoch,) = sink.ended
    assert epoch.test_acc is not None
    assert epoch.durations[Phase.EVALUATE] == sum(step.wall_ns for step in evaluate)
    assert epoch.wall_ns == sum(step.wall_ns for step in train) + sum(epoch.durations.values())


def test_an_evaluation_that_never_is_due_follows_the_training() -> None:
    sink = trained(TickingClock(), lambda step: step.index == 2, AfterSteps(50, 1))
    assert max(step.start_ns for step in of_stage(sink, "train")) < of_stage(sink, "evaluate")[0].start_ns
    assert len(of_stage(sink, "evaluate")) == 1


def test_deferred_work_is_waited_for_before_each_evaluation_and_at_the_end() -> None:
    costs = "forward=10,backward=20,flush=3"
    sink = trained(TickingClock(), lambda step: step.index == 9, AfterSteps(4, 1), lazy=True, costs=costs)
    assert sink.ended[0].durations[Phase.FLUSH] == pytest.approx(10 * 3_000_000, rel=0.05)


def test_a_time_limit_holds_for_the_evaluation() -> None:
    clock = TickingClock()
    rule = StoppingRule(BATCH, TRAIN, seconds=3, clock=lambda: clock.now * 1e-9)
    sink = trained(clock, rule, rule)
    assert 20 <= len(of_stage(sink, "train")) <= 28
    assert len(of_stage(sink, "evaluate")) == 3, "a test batch takes 1 s, and three are the least"
    assert rule.reason == "its time of 3 s was spent"

"""The operating system's part of a gap over rounds: known system time per step, known spread between rounds."""

from dataclasses import replace

import numpy as np
import pytest

from epoch_gap.profiler.comparison.gap import measure_gap
from epoch_gap.profiler.comparison.kernel_gap import measure_kernel_gap
from epoch_gap.profiler.comparison.spread_history import KnownSpread
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.run import Run, UsageTable
from tests.helpers.runs import MakeRun

STEPS = 9
EPOCH = 10.4
"""full steps in the full epoch of `make_run`"""
SLOW, FAST = [0.305, 0.295, 0.30], [0.05, 0.05, 0.05]
"""seconds of system time per step, by round"""


def with_system_time(run: Run, seconds: float | None) -> Run:
    """The run as if the kernel had taken so much CPU time in each step; None: it was not counted."""
    zeros = np.zeros(STEPS, np.int64)
    system = np.full(STEPS, round((seconds or 0) * 1e9), np.int64)
    usage = UsageTable(zeros, system, zeros, zeros, zeros, zeros)
    return replace(run, train=replace(run.train, usage=None if seconds is None else usage))


def session(make_run: MakeRun, name: str, slow: list[float | None], fast: list[float]) -> tuple[Subject, Subject]:
    def side(label: str, step: float, system: list[float | None]) -> Subject:
        runs = []
        for number, seconds in enumerate(system, start=1):
            run = make_run([step] * STEPS, config={"label": label}, session=name, round=number)
            runs.append(with_system_time(run, seconds))
        return Subject.from_runs(runs, id=label)

    return side("slow", 2.0, slow), side("fast", 1.0, list(fast))


def test_the_spread_of_earlier_sessions_is_pooled(make_run: MakeRun) -> None:
    slow, fast = session(make_run, "now", list(SLOW), FAST)
    earlier = session(make_run, "before", [0.31, 0.29, 0.30], FAST)
    alone = measure_kernel_gap(measure_gap(slow, fast))
    pooled = measure_kernel_gap(measure_gap(slow, fast, spread=KnownSpread((earlier,))))
    assert alone is not None
    assert pooled is not None
    assert alone.seconds.value == pooled.seconds.value == pytest.approx(EPOCH * 0.25)
    assert (alone.seconds.dof, pooled.seconds.dof) == (2, 4)
    assert alone.seconds.variance == pytest.approx(EPOCH**2 * 0.005**2 / 3)
    assert pooled.seconds.variance == pytest.approx(EPOCH**2 * (2 * 0.01**2 + 2 * 0.005**2) / 4 / 3)


def test_an_earlier_session_that_did_not_count_is_left_out(make_run: MakeRun) -> None:
    slow, fast = session(make_run, "now", list(SLOW), FAST)
    older = session(make_run, "before", [None, None, None], FAST)
    found = measure_kernel_gap(measure_gap(slow, fast, spread=KnownSpread((older,))))
    assert found is not None
    assert found.seconds.dof == 2

"""Whether the steps of a short process suffice for an estimate, or it must go on: the rule of a round."""

import math

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.step_selection import select_steps
from epoch_gap.profiler.analysis.warm_up import FAULTS_THAT_MATTER
from epoch_gap.profiler.recording.fencing import Schedule, TimingMode, ends_asrun_block
from epoch_gap.profiler.recording.records import Step
from epoch_gap.profiler.storage.run import StepTable

LEAST_STEADY = {TimingMode.ASRUN: 3, TimingMode.FENCED: 2}
"""The fewest steady steps of a timing mode, if the process takes steps of that mode at all."""
WARMING = 0.02
"""A process still warms up while the page faults of its latest steps clearly fall, by more than this share: the
allocator's heap still grows."""
LEAST_TO_JUDGE = 6
"""The latest steps that are judged: a quarter of all, and at least so many after the first."""
NORMAL_95 = 1.645
"""the 95 % quantile of the normal distribution"""
MOST = 1000
"""Steps up to which `least_steps` is sought; a schedule that does not suffice by then never does."""


class Sufficiency:
    """Collects the training steps of one epoch, and judges them.

    They suffice once there are `LEAST_STEADY` steady steps of each timing mode of the schedule and the process no
    longer warms up. With `needs_flush` (a lazy device), they must also end with a block of as-run steps, so that the
    flush after them can be scaled.
    """

    def __init__(self, batch_size: int, schedule: Schedule, needs_flush: bool = False) -> None:
        self._batch_size, self._schedule, self._needs_flush = batch_size, schedule, needs_flush
        self._steps: list[Step] = []

    def add(self, step: Step) -> None:
        """Add the newest step."""
        self._steps.append(step)

    @property
    def steps(self) -> int:
        """The number of steps so far."""
        return len(self._steps)

    @property
    def seconds_per_step(self) -> float:
        """The mean of the steps so far, without the first if there are others; 0 without a step."""
        later = self._steps[1:] or self._steps
        return sum(step.wall_ns for step in later) * 1e-9 / len(later) if later else 0.0

    @property
    def least_steps(self) -> int:
        """The fewest steps that can suffice: the first step and the first after each switch of modes do not count."""
        counts = dict.fromkeys(TimingMode, 0)
        modes = {self._schedule(i) for i in range(MOST)}
        for i in range(1, MOST):
            mode = self._schedule(i)
            counts[mode] += mode is self._schedule(i - 1)
            if self._ends_well(i + 1) and all(counts[mode] >= LEAST_STEADY[mode] for mode in modes):
                return i + 1
        return MOST

    def is_sufficient(self) -> bool:
        """Whether the steps so far suffice."""
        if self.steps < 2 or not self._ends_well(self.steps):
            return False
        table = StepTable.from_steps(self._steps)
        selection = select_steps(table, self._batch_size)
        modes = {self._schedule(i) for i in range(self.least_steps)}
        enough = all(len(selection.steady(mode)) >= LEAST_STEADY[mode] for mode in modes)
        return enough and not _may_still_warm(table)

    def _ends_well(self, steps: int) -> bool:
        return not self._needs_flush or ends_asrun_block(self._schedule, steps)


def _may_still_warm(steps: StepTable) -> bool:
    """Whether the page faults per step still fall, or that cannot be judged yet; the first step is not considered."""
    if steps.usage is None:
        return False
    latest = slice(max(1, len(steps) - max(LEAST_TO_JUDGE, len(steps) // 4)), None)
    faults, seconds = steps.usage.minor_faults[latest], float(steps.wall_ns[latest].sum()) * 1e-9
    if faults.sum() < FAULTS_THAT_MATTER * seconds:
        return False
    if len(faults) < LEAST_TO_JUDGE:
        return True
    return float(faults[-1]) < (1 - WARMING) * float(faults[0]) and _falls(faults)


def _falls(values: NDArray[np.int64]) -> bool:
    """Whether values, of shape (n,) with n >= 6, fall: the test of Mann (1945) and Kendall, one-sided at 5 %."""
    n = len(values)
    score = int(np.sign(np.subtract.outer(values, values))[np.tril_indices(n, -1)].sum())
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return (-score - 1) / deviation > NORMAL_95

"""Why a run started slowly: the counters, the machine, or neither explains it."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from epoch_gap.profiler.analysis.flags import CANARY_LIMIT
from epoch_gap.profiler.analysis.step_selection import StepSelection
from epoch_gap.profiler.analysis.warm_up import FALL, FAULTS_THAT_MATTER, StartKind
from epoch_gap.profiler.storage.run import Run, StepTable

LEAST_PART = 0.2
"""System time explains a slow start if it makes up this part of the extra time."""


class Cause(StrEnum):
    """What explains a slow start; the values are stored in summary.json."""

    PAGE_FAULTS = "page faults"
    SYSTEM_TIME = "system time"
    MACHINE = "machine"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True)
class StartCause:
    """The cause, and its measure per step during the start and after it."""

    cause: Cause
    during: float
    """page faults, seconds of system time, or seconds of the canary; 0 if unexplained"""
    after: float


def explain_start(run: Run, selection: StepSelection) -> StartCause | None:
    """The cause of a warm-up of at least two steps; None if the run started otherwise."""
    start = selection.start
    if start.kind is not StartKind.WARM_UP or start.steps < 2:
        return None
    during, after = selection.judged_at_start, selection.after_start
    if not len(during) or not len(after):
        return None
    return _by_counters(during, after) or _by_machine(run, start.steps) or StartCause(Cause.UNEXPLAINED, 0.0, 0.0)


def _by_counters(during: StepTable, after: StepTable) -> StartCause | None:
    """The first step is left out if others started slowly: it touches all memory for the first time."""
    during = during.where(np.arange(len(during)) >= min(1, len(during) - 1))
    if during.usage is None or after.usage is None:
        return None
    faults = float(during.usage.minor_faults.mean()), float(after.usage.minor_faults.mean())
    if faults[0] >= FALL * max(faults[1], FAULTS_THAT_MATTER * float(during.wall_ns.mean()) * 1e-9):
        return StartCause(Cause.PAGE_FAULTS, *faults)
    system = float(during.usage.system_ns.mean()) * 1e-9, float(after.usage.system_ns.mean()) * 1e-9
    extra = float(during.wall_ns.mean() - after.wall_ns.mean()) * 1e-9
    explains = system[0] >= FALL * system[1] and system[0] - system[1] >= LEAST_PART * extra
    return StartCause(Cause.SYSTEM_TIME, *system) if explains else None


def _by_machine(run: Run, steps: int) -> StartCause | None:
    """Whether the canary was slower during the first `steps` training steps than afterwards."""
    ends = int(run.train.start_ns[min(steps, len(run.train) - 1)])
    canary = [((r.matmul_ns + r.loop_ns) * 1e-9, r.at_ns < ends) for r in run.readings]
    early, late = ([seconds for seconds, is_early in canary if is_early is part] for part in (True, False))
    if not early or not late:
        return None
    during, after = float(np.mean(early)), float(np.mean(late))
    return StartCause(Cause.MACHINE, during, after) if during > (1 + CANARY_LIMIT) * after else None

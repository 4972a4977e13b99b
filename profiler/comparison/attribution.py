"""The effect of fences: their cost, and work that is done in one phase but charged to another."""

from collections.abc import Sequence
from dataclasses import dataclass

from epoch_gap.profiler.analysis.run_analysis import ModeAnalysis, RunAnalysis
from epoch_gap.profiler.analysis.stats import (
    Estimate,
    Interval,
    difference,
    log_ratio,
    mean_of_processes,
    ratio,
)
from epoch_gap.profiler.phases import Phase, in_order

HARMLESS = (0.95, 1.05)
"""A fenced step represents an as-run step if the ratio of their times is within these bounds."""
LEAST_SHIFT = 0.01
"""of a step; smaller shifts are indistinguishable from noise"""


@dataclass(frozen=True)
class ShiftedWork:
    """Work that was done in phase `done_in` but charged to phase `charged_to`, in seconds per step."""

    done_in: Phase
    charged_to: Phase
    seconds: float


@dataclass(frozen=True)
class FenceEffect:
    """A subject's fenced steps compared with its as-run steps."""

    perturbation: Interval
    """a fenced step's time over an as-run step's"""
    by_phase: dict[Phase, Estimate]
    """fenced minus as-run seconds per step; positive if more work is done in a phase than is charged to it"""
    shifted_work: tuple[ShiftedWork, ...]
    """largest first"""

    @property
    def is_harmless(self) -> bool:
        """Whether fences leave the step's time unchanged, within `HARMLESS`."""
        low, high = HARMLESS
        return low <= self.perturbation.value <= high


def measure_fence_effect(analyses: Sequence[RunAnalysis]) -> FenceEffect | None:
    """Compare the fenced and as-run steps of a subject's runs, at least one; None if a run has no fenced steps."""
    pairs = [(a.asrun, a.fenced) for a in analyses if a.fenced is not None]
    if len(pairs) < len(analyses):
        return None
    logs = [log_ratio(fenced.step, asrun.step) for asrun, fenced in pairs]
    perturbation = ratio(logs[0] if len(logs) == 1 else mean_of_processes(log.value for log in logs))
    per_run = [_differences(asrun, fenced) for asrun, fenced in pairs]
    nothing = Estimate(0.0)
    by_phase = {
        phase: per_run[0][phase]
        if len(per_run) == 1
        else mean_of_processes(run.get(phase, nothing).value for run in per_run)
        for phase in in_order(phase for run in per_run for phase in run)
    }
    shifted_work = tuple(_shifted_work(by_phase, analyses[0].asrun.step.value))
    return FenceEffect(perturbation, by_phase, shifted_work)


def _differences(asrun: ModeAnalysis, fenced: ModeAnalysis) -> dict[Phase, Estimate]:
    return {phase: difference(fenced.phases[phase], step) for phase, step in asrun.phases.items()}


def _shifted_work(by_phase: dict[Phase, Estimate], step_s: float) -> list[ShiftedWork]:
    """Match the phases that are charged too much with the earlier phases that are charged too little."""
    clear = {
        phase: e.value
        for phase, e in by_phase.items()
        if e.interval().excludes(0) and abs(e.value) >= LEAST_SHIFT * step_s
    }
    order = in_order(by_phase)
    owed = {phase: seconds for phase, seconds in clear.items() if seconds > 0}
    shifts = []
    for payer, paid in ((phase, -seconds) for phase, seconds in clear.items() if seconds < 0):
        for worker in [phase for phase in owed if order.index(phase) < order.index(payer)]:
            part = min(paid, owed[worker])
            paid -= part
            owed[worker] -= part
            if part >= LEAST_SHIFT * step_s:
                shifts.append(ShiftedWork(worker, payer, part))
    return sorted(shifts, key=lambda shift: -shift.seconds)

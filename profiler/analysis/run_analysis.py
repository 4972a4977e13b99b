"""The analysis of one run, computed once for all reports, comparisons and exports."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS, EpochEstimate, count_required_steps, estimate_epoch, whole_epochs
from epoch_gap.profiler.analysis.flags import Flag, cores_busy, find_flags, has_drifted, stolen_share
from epoch_gap.profiler.analysis.kernel_time import KernelTime, measure_kernel_time
from epoch_gap.profiler.analysis.start_cause import StartCause, explain_start
from epoch_gap.profiler.analysis.stats import Estimate, Spread, inflation, mean, spread
from epoch_gap.profiler.analysis.step_selection import StepSelection, select_steps
from epoch_gap.profiler.analysis.warm_up import StartKind
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.recording.records import Epoch
from epoch_gap.profiler.storage.run import Run, StepTable

LONG = 0.1
"""share of an epoch's steps; a longer warm-up is not left out in silence"""
COMPILES = "compiles_in_first_step"
"""a condition of frameworks whose first step compiles"""


@dataclass(frozen=True)
class ModeAnalysis:
    """A run in one timing mode."""

    steady: StepTable
    """the steady steps, at least one"""
    step: Estimate
    """mean seconds of a steady step"""
    own_epoch: EpochEstimate
    """of this process's own epoch; a point if all of it was run"""
    any_epoch: EpochEstimate
    """of epochs in general, as a comparison needs"""

    @cached_property
    def phases(self) -> dict[Phase, Estimate]:
        """Mean seconds per steady step, by phase."""
        return {phase: mean(ns * NS) for phase, ns in self.steady.phase_ns.items()}


@dataclass(frozen=True)
class WarmUp:
    """The start of a run, in seconds per step. It is stored and shown, and excluded from the averages."""

    kind: StartKind
    steps: int
    first: float
    excess: float
    """extra time of all as-run warm-up steps, relative to the same number of steady steps"""
    steady: Estimate
    """mean of the steady as-run steps"""
    cause: StartCause | None
    """why it was slow; None unless it is a warm-up of at least two steps"""
    first_epoch_extra: Estimate
    """extra seconds of a first epoch whose steps are all as-run, relative to as many steady steps; only the steady
    mean is uncertain, because the steps of the start have been measured"""
    epoch_steps: float
    """steps of a full epoch; infinite for a stream"""
    compilation: float | None = None
    """extra time of the first step, which compiled what the others reused; None: it did not, or nothing tells"""

    @property
    def is_long(self) -> bool:
        """Whether the start takes more than `LONG` of an epoch's steps: an epoch "once warm" is then another one."""
        return self.kind is StartKind.WARM_UP and self.steps > LONG * self.epoch_steps


@dataclass(frozen=True)
class StepCounts:
    """The training steps of a run. Last partial batches, and the first step after each switch of modes, count too."""

    warm_up: int
    asrun: int
    """after the warm-up"""
    fenced: int
    """after the warm-up"""


@dataclass(frozen=True)
class RunAnalysis:
    """A run with its steady steps, its epoch estimate, and all derived values that reports show."""

    run: Run
    selection: StepSelection
    asrun: ModeAnalysis
    fenced: ModeAnalysis | None
    """None: the run has no steady fenced steps"""
    warm_up: WarmUp
    steps: StepCounts
    spread: Spread
    """seconds of the steady as-run steps"""
    independent_steps: int
    """steady as-run steps, reduced for their autocorrelation"""
    more_steps: int | None
    """further as-run steps required for +- 1 %; None: unknown"""
    whole_epochs: tuple[Epoch, ...]
    """the epochs that trained and evaluated on every image"""
    flags: tuple[Flag, ...]
    has_drifted: bool | None
    """None: the canary was not read"""
    marks_share: float
    """the recorder's own cost as a share of a steady step: its marks, each phase counted once, and two readings of
    the resource usage"""
    cores_busy: float | None
    """CPU seconds of the process per second of training; None: unknown"""
    kernel: KernelTime | None
    """the operating system's time; None: not counted"""
    stolen_share: float | None
    """the share of the machine's CPU time that its host gave to other guests; None: unknown"""

    @property
    def flag_titles(self) -> list[str]:
        """The titles of the run's flags, without duplicates."""
        return list(dict.fromkeys(str(flag.kind) for flag in self.flags))


def analyse_run(run: Run) -> RunAnalysis:
    """Analyse a run. Raises UserError if it has no steady as-run step."""
    selection = select_steps(run.train, run.batch_size)
    if not len(selection.full):
        raise UserError(f"{run.id}: no full training step was stored ({run.status}); nothing to report")
    asrun = _analyse_mode(run, selection, TimingMode.ASRUN)
    if asrun is None:
        raise UserError(
            f"{run.id}: too few steps to estimate an epoch; run more steps, "
            "including as-run ones (--fence alternate or none)"
        )
    steady_ns = asrun.steady.wall_ns
    if not steady_ns.any():
        raise UserError(f"{run.id}: its steps took no time by the clock; nothing to report")
    fenced = _analyse_mode(run, selection, TimingMode.FENCED)
    step_ns = float(steady_ns.mean()) * float(asrun.steady.images.mean()) / run.batch_size  # as the steps were
    marks_share = _own_cost_ns(run, asrun.steady) / step_ns
    flags = find_flags(run, selection, marks_share)
    return RunAnalysis(
        run=run,
        selection=selection,
        asrun=asrun,
        fenced=fenced,
        warm_up=_measure_warm_up(run, selection, asrun.step),
        steps=_count_steps(run.train, selection.start.steps),
        spread=spread(steady_ns * NS),
        independent_steps=round(len(steady_ns) / inflation(steady_ns)),
        more_steps=count_required_steps(run, selection),
        whole_epochs=tuple(whole_epochs(run)),
        flags=flags,
        has_drifted=has_drifted(run, flags),
        marks_share=marks_share,
        cores_busy=cores_busy(run),
        kernel=measure_kernel_time(run, asrun.steady, fenced.steady if fenced else None),
        stolen_share=stolen_share(run),
    )


def _analyse_mode(run: Run, selection: StepSelection, mode: TimingMode) -> ModeAnalysis | None:
    steady = selection.steady(mode)
    if not len(steady):
        return None
    own, general = (estimate_epoch(run, steady, mode, is_finite=is_finite) for is_finite in (True, False))
    return ModeAnalysis(steady, mean(steady.wall_ns * NS), own, general)


def _own_cost_ns(run: Run, steady: StepTable) -> float:
    """What the recorder itself costs per as-run step."""
    marks = len(steady.phase_ns) * run.manifest.mark_cost_ns
    return marks + 2 * (run.manifest.usage_cost_ns or 0.0)


def _count_steps(train: StepTable, start: int) -> StepCounts:
    fenced = int(train.fenced[start:].sum())
    return StepCounts(start, len(train) - start - fenced, fenced)


def _first_epoch_extra(steps: int, early: NDArray[np.float64], steady: Estimate) -> Estimate:
    seconds = float(early.mean()) - steady.value if len(early) else 0.0
    return Estimate(steps * seconds, steps**2 * steady.variance, steady.dof)


def _measure_compilation(run: Run, selection: StepSelection, steady: Estimate) -> float | None:
    if run.framework.conditions.get(COMPILES) is not True:
        return None
    return float(selection.full.wall_ns[0] * NS) - steady.value


def _measure_warm_up(run: Run, selection: StepSelection, steady: Estimate) -> WarmUp:
    full = run.manifest.full_epoch
    early = np.asarray(selection.judged_at_start.wall_ns * NS, np.float64)
    excess = float(early.sum() - len(early) * steady.value)
    return WarmUp(
        kind=selection.start.kind,
        steps=selection.start.steps,
        first=float(selection.full.wall_ns[0] * NS),
        excess=excess,
        steady=steady,
        cause=explain_start(run, selection),
        first_epoch_extra=_first_epoch_extra(selection.start.steps, early, steady),
        epoch_steps=math.inf if full.is_stream else full.train_images / run.batch_size,
        compilation=_measure_compilation(run, selection, steady),
    )

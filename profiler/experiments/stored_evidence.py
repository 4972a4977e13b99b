"""Gather what stored runs and drill-downs tell, as the evidence of predictions."""

from collections.abc import Iterable, Mapping, Sequence

from epoch_gap.profiler.analysis.run_analysis import ModeAnalysis, RunAnalysis
from epoch_gap.profiler.analysis.stats import Estimate, Interval, mean_of_processes, t_quantile
from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.matching import explains
from epoch_gap.profiler.drilldown.spans import Direction, OperatorCategory
from epoch_gap.profiler.experiments.evidence import PHASES_OF_WORK, Evidence
from epoch_gap.profiler.phases import EPOCH_PHASES, Phase

DIRECTIONS = {Phase.FORWARD: Direction.FORWARD, Phase.BACKWARD: Direction.BACKWARD}
Operators = Mapping[tuple[Phase, OperatorCategory], Estimate]


def gather_evidence(
    sides: Mapping[str, Sequence[RunAnalysis]],
    framework: str,
    drilldowns: Mapping[str, Drilldown],
    isolated: Mapping[str, Estimate] | None = None,
) -> Evidence:
    """The evidence about the side `framework`.

    `sides` are the analysed repeats of each framework, of which the others serve to substitute their operators;
    `drilldowns` are the operator times of those frameworks for which they were measured.
    """
    own = sides[framework]
    size = own[0].run.manifest.full_epoch
    per_step = own[0].run.batch_size / size.train_images
    kernels = [a.kernel for a in own if a.kernel is not None]
    busy = [kernel.steps.cores_busy for kernel in kernels]
    step = _mean([kernel.step for kernel in kernels]) if len(kernels) == len(own) else None
    return Evidence(
        framework=framework,
        phases=_phases([a.asrun for a in own]),
        per_epoch=_per_epoch(own, per_step),
        fenced=_phases([a.fenced for a in own if a.fenced]) if all(a.fenced for a in own) else None,
        is_lazy=Phase.FLUSH in own[0].run.framework.phases,
        system=None if step is None else _system(own, step, per_step),
        cores_busy=sum(busy) / len(busy) if busy else None,
        operators={name: _operators(drilldown, sides[name]) for name, drilldown in drilldowns.items()},
        isolated=isolated or {},
    )


def find_operators(analyses: Sequence[RunAnalysis], drilldowns: Iterable[Drilldown]) -> Drilldown | None:
    """The first drill-down that timed operators in both directions under the conditions of these runs."""
    manifest = analyses[0].run.manifest
    return next(
        (d for d in drilldowns if explains(d.conditions, manifest) and all(map(d.categories, Direction))), None
    )


def _operators(drilldown: Drilldown, analyses: Sequence[RunAnalysis]) -> Operators:
    """Shares of the watched phases, times the seconds of the timed steps: a watched step is another, slower one."""
    modes = (
        [a.fenced for a in analyses if a.fenced] if all(a.fenced for a in analyses) else [a.asrun for a in analyses]
    )
    phases = _phases([mode for mode in modes if mode])
    found = {}
    for phase, direction in DIRECTIONS.items():
        seconds = [phases[p] for p in PHASES_OF_WORK[phase] if p in phases]
        watched = sum(drilldown.watched.get(p, 0.0) for p in PHASES_OF_WORK[phase])
        value, variance = sum(s.value for s in seconds), sum(s.variance for s in seconds)
        dof = min((s.dof for s in seconds), default=0.0)
        for category, watched_seconds in drilldown.categories(direction).items():
            share = watched_seconds / watched
            of_share = _variance_of(drilldown, direction, category) / watched**2
            found[phase, category] = Estimate(value * share, variance * share**2 + of_share * value**2, dof)
    return found


def _variance_of(drilldown: Drilldown, direction: Direction, category: OperatorCategory) -> float:
    """Of a category's watched seconds, from the intervals of its entries; those without one add nothing."""
    entries = [e.seconds for e in drilldown.entries if (e.key.direction, e.category) == (direction, category)]
    return sum(_variance(interval) for interval in entries)


def _variance(interval: Interval) -> float:
    if interval.high is None:
        return 0.0
    return ((interval.high - interval.value) / t_quantile(0.975, 1e6)) ** 2


def _phases(modes: Sequence[ModeAnalysis]) -> dict[Phase, Estimate]:
    names = dict.fromkeys(phase for mode in modes for phase in mode.phases)
    return {phase: _mean([mode.phases.get(phase, Estimate(0.0)) for mode in modes]) for phase in names}


def _per_epoch(analyses: Sequence[RunAnalysis], per_step: float) -> dict[Phase, Estimate]:
    """The phases outside the steps that every run measured, as if each step took its part of them."""
    parts = {p: [a.asrun.any_epoch.phases.get(p) for a in analyses] for p in EPOCH_PHASES}
    measured = {p: [part for part in found if part is not None] for p, found in parts.items()}
    return {p: _mean(found).scaled(per_step) for p, found in measured.items() if len(found) == len(analyses)}


def _system(analyses: Sequence[RunAnalysis], step: Estimate, per_step: float) -> dict[Phase, Estimate] | None:
    """The system time of a step, split over the phases as in fenced steps, and that of the evaluation.

    None without fenced steps.
    """
    seconds: dict[Phase, float] = {}
    for analysis in analyses:
        if analysis.kernel is None or analysis.fenced is None or not analysis.kernel.by_phase:
            return None
        for phase, usage in analysis.kernel.by_phase.items():
            mean = analysis.fenced.phases[phase].value
            seconds[phase] = seconds.get(phase, 0.0) + usage.kernel_share * mean
    whole = sum(seconds.values())
    split = {phase: step.scaled(part / whole) for phase, part in seconds.items()} if whole else None
    evaluations = [a.kernel.epoch_phases.get(Phase.EVALUATE) for a in analyses if a.kernel and a.kernel.epoch_phases]
    known = [part for part in evaluations if part is not None]
    if split and len(known) == len(analyses):
        split[Phase.EVALUATE] = _mean(known).scaled(per_step)
    return split


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over processes; a single one keeps what it knows about itself."""
    return estimates[0] if len(estimates) == 1 else mean_of_processes(e.value for e in estimates)

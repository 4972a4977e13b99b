"""Plan a session: choose the experiments, and predict each from the evidence before anything is measured."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType

from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.controls import PLANTED_SHARE
from epoch_gap.profiler.experiments.dose_response import DOSE_SHARE, MULTIPLES
from epoch_gap.profiler.experiments.evidence import Evidence, MissingEvidenceError
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.interactions import sets_to_measure
from epoch_gap.profiler.experiments.prediction import Change, Delay, Ratio, Substitute, sum_of_changes
from epoch_gap.profiler.experiments.session import Forecast, store_estimate
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads import registry
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.experiments import experiment_with_dose

Names = tuple[str, ...]
ALL, DOSES = "all", "delay"
"""names on the command line: every experiment of a side, and the dose-response"""
JOINT = "+"
"""between the names of experiments that are also tested together"""


def choose_experiments(
    names: Sequence[str],
    modules: Mapping[str, ModuleType],
    framework: str,
    device: str,
    architecture: Architecture,
) -> list[Experiment]:
    """The experiments that `names` name, without the controls, which every session has; each once, in order.

    `all` names those that can be tested on the side, and `A+B` both. Raises UserError for a name or dose that is
    unknown, or that cannot be tested there.
    """
    known: dict[str, Experiment] = {name: module.EXPERIMENT for name, module in modules.items()}
    able = [e for e in known.values() if _why_untestable(e, framework, device, architecture) is None]
    chosen: dict[str, Experiment] = {}
    for name in (part for joined in names for part in joined.split(JOINT)):
        if name == ALL:
            chosen |= {e.name: e for e in able if not e.is_control and e.name != DOSES}
        elif (base := name.partition("=")[0]) not in known:
            raise UserError(f"no experiment {base!r}; choose all, or from: {', '.join(known)}")
        elif reason := _why_untestable(known[base], framework, device, architecture):
            raise UserError(f"{base} cannot be tested {reason}")
        else:
            experiment = known[base] if name == base else experiment_with_dose(name)
            chosen[experiment.name] = experiment
    return [experiment for experiment in chosen.values() if not experiment.is_control]


def choose_combinations(names: Sequence[str], experiments: Sequence[Experiment], *, all_of_them: bool) -> list[Names]:
    """The sets of experiments to test together: those that `names` join, and with `all_of_them` every one needed.

    Raises UserError for a dose-response in a set: it has no single level.
    """
    joined = [tuple(dict.fromkeys(name.split(JOINT))) for name in names if JOINT in name]
    if any(DOSES in group for group in joined):
        raise UserError(f"{DOSES} cannot be tested together with others")
    chosen = [experiment.name for experiment in experiments if experiment.name != DOSES]
    found = [group for group in joined if len(group) > 1]
    return list(dict.fromkeys([*found, *(sets_to_measure(chosen) if all_of_them else [])]))


def _why_untestable(experiment: Experiment, framework: str, device: str, architecture: Architecture) -> str | None:
    if experiment.prediction is None:
        return "by its time: its claim is about the accuracy, which `curve` tests"
    if experiment.needs_ranks:
        return "in a process that trains alone; start `run --alternate` with torchrun"
    if experiment.frameworks and framework not in experiment.frameworks:
        return f"on {framework}; it is for {', '.join(experiment.frameworks)}"
    if experiment.devices and device not in (*experiment.devices, "auto"):
        return f"on the device {device}; it is for {', '.join(experiment.devices)}"
    if experiment.needs and experiment.needs not in architecture.kinds():
        return f"on {architecture.name}: it has no {experiment.needs}"
    return None


def check_combination(experiments: Iterable[Experiment]) -> None:
    """Raise UserError for two doses of one experiment, which cannot be on at once."""
    bases = [experiment.name.partition("=")[0] for experiment in experiments]
    for base in bases:
        if bases.count(base) > 1:
            raise UserError(f"--together: {base} is named with {bases.count(base)} doses; choose one")


def frameworks_needed(experiments: Iterable[Experiment], framework: str) -> list[str]:
    """The frameworks whose operators substitute those of `framework`, each once.

    No framework is needed for the scripted one, whose times are not of the same work.
    """
    is_scripted = registry.is_scripted(framework)
    names = dict.fromkeys(rule.by for rule in _substitutions(experiments))
    return [name for name in names if registry.is_scripted(name) is is_scripted]


def drilldowns_used(
    experiments: Iterable[Experiment], framework: str, operators: Mapping[str, Drilldown]
) -> tuple[str, ...]:
    """The names of the drill-downs that the substitutions of `framework`'s operators are predicted from, each once.

    `operators` are the operator times that are known, by framework; a substitution needs those of both.
    """
    pairs = [(framework, rule.by) for rule in _substitutions(experiments)]
    used = [operators[name].name for pair in pairs if operators.keys() >= {*pair} for name in pair]
    return tuple(dict.fromkeys(used))


def _substitutions(experiments: Iterable[Experiment]) -> Iterator[Substitute]:
    for experiment in experiments:
        if isinstance(experiment.prediction, Substitute):
            yield experiment.prediction


def variants_needed(experiments: Iterable[Experiment]) -> list[str]:
    """The experiments whose prediction needs two variants that are timed in isolation."""
    return [experiment.name for experiment in experiments if isinstance(experiment.prediction, Ratio)]


@dataclass(frozen=True)
class Planner:
    """Predicts tests from the evidence about one side."""

    evidence: Evidence
    isolated: Mapping[str, Estimate]
    """the times of two variants, new over present, by experiment"""
    epoch_steps: float
    """training steps of an epoch"""
    phase: Phase | None = None
    """where a dose-response waits; None: the experiment's own phase"""
    options_of_wait: Mapping[str, str] = field(default_factory=dict)
    """options of `run` under which a wait costs what it takes (docs/decisions/0022)"""

    def controls(self, modules: Mapping[str, ModuleType]) -> list[Forecast]:
        """The forecasts of the controls. The planted slowdown is in a phase that nothing overlaps with."""
        found = [module.EXPERIMENT for module in modules.values() if module.EXPERIMENT.is_control]
        phase = Phase.METRICS if self.evidence.is_lazy or Phase.FORWARD not in self.evidence.phases else None
        return [self._one(experiment, phase, PLANTED_SHARE) for experiment in found]

    def tests(self, experiments: Sequence[Experiment], sets: Sequence[Names]) -> list[Forecast]:
        """The forecast of each experiment, and those of the combinations that show how they interact."""
        alone = {e.name: self._one(e, self.phase, DOSE_SHARE) for e in experiments}
        return [*alone.values(), *(_combine([alone[name] for name in chosen]) for chosen in sets)]

    def _one(self, experiment: Experiment, phase: Phase | None, dose_share: float) -> Forecast:
        rule = experiment.prediction
        if isinstance(rule, Delay):
            seconds = round(dose_share * self.evidence.step, 6)
            return self._delay(experiment, Delay(phase or rule.phase, seconds))
        assert rule is not None, "only claims about time are planned"
        evidence = self.evidence
        if isinstance(rule, Ratio) and experiment.name in self.isolated:
            evidence = replace(evidence, isolated={rule.isolated: self.isolated[experiment.name]})
        plain = _without_prediction(experiment)
        try:
            return _with_change(plain, rule.predict(evidence).scaled(self.epoch_steps))
        except MissingEvidenceError as error:
            return replace(plain, missing=str(error))

    def _delay(self, experiment: Experiment, rule: Delay) -> Forecast:
        options = dict(self.options_of_wait)
        plain = replace(_without_prediction(experiment), may_change=(str(rule.phase),), options=options)
        if experiment.name != DOSES:
            change = rule.predict(self.evidence).scaled(self.epoch_steps)
            return replace(_with_change(plain, change), switches=(_delay_switch(experiment, rule),))
        delays = [multiple * rule.seconds for multiple in MULTIPLES]
        levels = [_delay_switch(experiment, Delay(rule.phase, delay)) for delay in delays if delay]
        missing = "the slope is measured, not predicted"
        return replace(plain, switches=tuple(levels), delays=tuple(delays), missing=missing)


def _delay_switch(experiment: Experiment, rule: Delay) -> str:
    return f"{experiment.name}:{rule.phase}={rule.seconds:.6f}"


def _without_prediction(experiment: Experiment) -> Forecast:
    return Forecast(
        name=experiment.name,
        experiments=(experiment.name,),
        switches=() if experiment.options else (experiment.name,),
        options=dict(experiment.options),
        claim=experiment.claim,
        guess=experiment.guess,
        may_change=tuple(map(str, experiment.may_change)),
        keeps=experiment.keeps,
        is_control=experiment.is_control,
        alternates=experiment.alternates and not experiment.options,
    )


def _with_change(forecast: Forecast, change: Change) -> Forecast:
    return replace(
        forecast,
        phases={str(phase): store_estimate(part) for phase, part in change.phases.items()},
        whole=store_estimate(change.whole),
        is_bound=change.is_bound,
    )


def _combine(forecasts: Sequence[Forecast]) -> Forecast:
    """The forecast of several experiments at once: the sum of what each is predicted to change."""
    keeps = [forecast.keeps for forecast in forecasts]
    plain = Forecast(
        name=" + ".join(forecast.name for forecast in forecasts),
        experiments=tuple(forecast.name for forecast in forecasts),
        switches=tuple(switch for forecast in forecasts for switch in forecast.switches),
        options={option: value for forecast in forecasts for option, value in forecast.options.items()},
        claim="Together, these changes gain the sum of what each gains alone.",
        may_change=tuple(dict.fromkeys(phase for forecast in forecasts for phase in forecast.may_change)),
        keeps=None if None in keeps else max(keep for keep in keeps if keep is not None),
        alternates=all(forecast.alternates for forecast in forecasts),
    )
    changes = [change for forecast in forecasts if (change := forecast.change) is not None]
    if len(changes) < len(forecasts):
        return replace(plain, missing="one of its parts has no prediction")
    return _with_change(plain, sum_of_changes(changes))

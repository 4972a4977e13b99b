"""The assessment of a session: every prediction with its measurement and verdict, from the stored runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.controls import judge_controls, why_withheld
from epoch_gap.profiler.experiments.dose_response import measure_slope
from epoch_gap.profiler.experiments.effect import Effect, effect_of_levels, effect_of_rounds
from epoch_gap.profiler.experiments.interactions import Interaction, measure_interaction
from epoch_gap.profiler.experiments.level_times import (
    LevelTimes,
    join_levels,
    measure_evaluation_levels,
    measure_levels,
)
from epoch_gap.profiler.experiments.losses import LossCheck, check_losses
from epoch_gap.profiler.experiments.score import Score, score
from epoch_gap.profiler.experiments.session import Forecast, Result, Session, edited_forecasts, read_estimate
from epoch_gap.profiler.experiments.session_store import load_session, load_sessions
from epoch_gap.profiler.experiments.verdict import TOLERANCE, Claim, Judgement, Verdict, judge
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.profiler.storage.run import Run

ReadRun = Callable[[str], Run]
"""reads a run by its id; raises UserError"""
NO_OP = "noop"
"""the control with whose losses those of other tests are compared"""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One test of a session."""

    forecast: Forecast
    runs: tuple[str, ...] = ()
    effect: Effect | None = None
    """None: not measured, or a dose-response"""
    claim: Claim | None = None
    """the effect beside its prediction, both without an evaluation that was not measured; None without one of them"""
    judgement: Judgement | None = None
    slope: Estimate | None = None
    """of a dose-response: seconds of a step per second of delay"""
    losses: LossCheck | None = None
    off_step: float | None = None
    """seconds of a step with the intervention off, in a process where it alternates; None if that has options"""
    carried_over: float | None = None
    """the share by which such a step is longer than in the no-op's process, if that is more than `TOLERANCE`: the
    intervention acts beyond its own steps, or the machine changed between the two processes"""
    is_edited: bool = False
    """whether the prediction is not the one that was sealed before the measurement"""
    problem: str = ""
    """why there is no effect"""

    @property
    def is_evaluated(self) -> bool:
        """Whether the effect includes the evaluation, if that may change."""
        may_change = Phase.EVALUATE in self.forecast.changing_phases
        return self.effect is None or not may_change or Phase.EVALUATE in self.effect.phases

    @property
    def counts(self) -> bool:
        """Whether it is a test of a prediction as it was sealed, of the training as it was."""
        return self.judgement is not None and not self.is_edited and (self.losses is None or self.losses.is_kept)


@dataclass(frozen=True)
class Assessment:
    """A session with its verdicts."""

    session: Session
    controls: tuple[Outcome, ...]
    withheld: str | None
    """why nothing but the controls is reported; None if they were found right"""
    outcomes: tuple[Outcome, ...]
    """without the controls; empty if they are withheld"""

    @property
    def epoch(self) -> float:
        """Seconds of an epoch before any change."""
        return read_estimate(self.session.epoch).value

    @cached_property
    def effects(self) -> dict[frozenset[str], Estimate]:
        """The measured change of the epoch by the set of experiments that were on."""
        return {
            frozenset(outcome.forecast.experiments): outcome.effect.epoch
            for outcome in self.outcomes
            if outcome.effect is not None
        }

    @property
    def interactions(self) -> list[Interaction]:
        """Of the experiments that were measured together; not of a part of them, which serves to measure it."""
        names = [o.forecast.experiments for o in self.outcomes if o.effect is not None]
        sets = [group for group in names if not any(set(group) < set(other) for other in names)]
        found = [measure_interaction(self.effects, names) for names in sets]
        return [interaction for interaction in found if interaction is not None]

    @property
    def score(self) -> Score | None:
        """Of all predictions that count; None without any."""
        return score([o.claim for o in self.outcomes if o.counts and o.claim is not None])


def load_assessment(folder: Path) -> Assessment:
    """The assessment of the session in a folder. Raises UserError if the session cannot be read."""
    return assess_session(load_session(folder), partial(_read, folder))


def load_assessments(runs_dir: Path, warn: Callable[[str], None]) -> list[Assessment]:
    """The assessments of all sessions beside the runs, newest first; `warn` is told of those that cannot be read."""
    return [assess_session(session, partial(_read, folder)) for folder, session in load_sessions(runs_dir, warn)]


def _read(folder: Path, id: str) -> Run:
    return read_run(folder / id)


def assess_session(session: Session, read: ReadRun) -> Assessment:
    """Measure what the session's runs show, and judge its predictions together.

    A test whose runs cannot be read or are too short has no effect, and its outcome says why.
    """
    runs: dict[str, Run] = {}
    outcomes = [_measure(session, forecast, read, runs) for forecast in session.forecasts]
    edited = edited_forecasts(session, {run.manifest.session for run in runs.values()})
    outcomes = [replace(o, is_edited=o.forecast.name in edited) for o in outcomes]
    plain = next((o.runs for o in outcomes if o.forecast.name == NO_OP and o.runs), ())
    outcomes = [replace(o, losses=_losses(o, plain, runs)) for o in outcomes]
    untouched = next((o.off_step for o in outcomes if o.forecast.name == NO_OP), None)
    outcomes = [replace(o, carried_over=_carried_over(o.off_step, untouched)) for o in outcomes]
    controls = {o.forecast.name: o for o in outcomes if o.forecast.is_control}
    judged = judge_controls({name: o.claim for name, o in controls.items() if o.claim is not None})
    withheld = why_withheld(judged)
    found = tuple(replace(o, judgement=judged.get(name)) for name, o in controls.items())
    others = [] if withheld else _judge([o for o in outcomes if not o.forecast.is_control])
    return Assessment(session, found, withheld, tuple(others))


def _judge(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes with the verdicts on all claims together. Changed losses leave a claim open: it tests another."""
    claims = [(i, o.claim) for i, o in enumerate(outcomes) if o.claim is not None]
    judged = list(outcomes)
    for (i, _), judgement in zip(claims, judge([claim for _, claim in claims]), strict=True):
        losses = outcomes[i].losses
        if losses is not None and not losses.is_kept:
            judgement = replace(
                judgement, verdict=Verdict.UNDECIDED, reason="the training changed, too", more_steps=None
            )
        judged[i] = replace(outcomes[i], judgement=judgement)
    return judged


def _measure(session: Session, forecast: Forecast, read: ReadRun, runs: dict[str, Run]) -> Outcome:
    result = session.result(forecast.name)
    if result is None:
        return Outcome(forecast=forecast, problem="not measured")
    try:
        runs |= {id: read(id) for id in result.runs}
        if result.problem:
            return Outcome(forecast=forecast, runs=result.runs, problem=result.problem)
        if forecast.delays:
            slope = measure_slope(measure_levels(runs[result.runs[0]]), forecast.delays)
            return Outcome(forecast=forecast, runs=result.runs, slope=slope)
        effect = _effect(session, forecast, result, runs)
        off_step = _off_step(result, runs) if forecast.alternates and not forecast.options else None
    except UserError as error:
        return Outcome(forecast=forecast, runs=result.runs, problem=str(error))
    claim = None
    if (change := forecast.change) is not None:
        tolerance = max(TOLERANCE, session.floor or 0.0) * read_estimate(session.epoch).value
        measured = change if Phase.EVALUATE in effect.phases else change.without(Phase.EVALUATE)
        claim = Claim(predicted=measured, measured=effect, tolerance=tolerance)
    return Outcome(forecast=forecast, runs=result.runs, effect=effect, claim=claim, off_step=off_step)


def _effect(session: Session, forecast: Forecast, result: Result, runs: Mapping[str, Run]) -> Effect:
    if forecast.alternates:
        run = runs[result.runs[0]]
        levels = _levels(result, runs), _evaluation_levels(result, runs)
        test_batches = run.manifest.full_epoch.test_images / run.batch_size
        return effect_of_levels(*levels, forecast.changing_phases, session.epoch_steps, test_batches)
    analyses = [analyse_run(runs[id]) for id in result.runs]
    epochs = [analysis.asrun.any_epoch for analysis in analyses]
    steps = sum(len(analysis.run.train) for analysis in analyses) // max(1, len(analyses) // 2)
    return effect_of_rounds(list(zip(epochs[::2], epochs[1::2], strict=False)), forecast.changing_phases, steps)


def _levels(result: Result, runs: Mapping[str, Run]) -> LevelTimes:
    return join_levels([measure_levels(runs[id]) for id in result.runs])


def _evaluation_levels(result: Result, runs: Mapping[str, Run]) -> LevelTimes | None:
    """None unless the evaluation alternated in every run."""
    found = [measure_evaluation_levels(runs[id]) for id in result.runs]
    known = [levels for levels in found if levels is not None]
    return join_levels(known) if len(known) == len(found) else None


def _off_step(result: Result, runs: Mapping[str, Run]) -> float:
    return float(_levels(result, runs).step[:, 0].mean())


def _carried_over(off_step: float | None, untouched: float | None) -> float | None:
    if off_step is None or untouched is None or abs(off_step / untouched - 1) <= TOLERANCE:
        return None
    return off_step / untouched - 1


def _losses(outcome: Outcome, plain: Sequence[str], runs: Mapping[str, Run]) -> LossCheck | None:
    """Beside the no-op's run, or beside the first process without the intervention."""
    if not outcome.runs or any(id not in runs for id in outcome.runs):
        return None
    if not outcome.forecast.alternates and len(outcome.runs) > 1:
        pair = outcome.runs[:2]
    elif outcome.forecast.alternates and plain and plain[0] in runs:
        pair = (plain[0], outcome.runs[0])
    else:
        return None
    return check_losses(runs[pair[0]], runs[pair[1]], outcome.forecast.keeps)

"""Experiments in words: what was predicted, measured and decided."""

import math
from collections.abc import Iterator, Sequence

from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.experiments.assessment import Assessment, Outcome
from epoch_gap.profiler.experiments.diagnosis import CLOSE, Cause, Diagnosis
from epoch_gap.profiler.experiments.interactions import Interaction
from epoch_gap.profiler.experiments.score import Score
from epoch_gap.profiler.experiments.session import Session
from epoch_gap.profiler.experiments.verdict import Judgement, Verdict
from epoch_gap.reports import formats


def describe_change(estimate: Estimate) -> str:
    """A change in seconds with its interval."""
    interval = estimate.interval()
    value = formats.signed(formats.seconds(interval.value))
    if interval.low is None or interval.high is None:
        return f"{value} (interval unknown)"
    return f"{value} ({formats.seconds(interval.low)} to {formats.seconds(interval.high)})"


def describe_prediction(outcome: Outcome) -> str:
    """What was predicted for the epoch, and whether that was changed later."""
    forecast = outcome.forecast
    change = forecast.change
    if change is None:
        text = f"none: {forecast.missing}"
    elif change.is_bound:
        low, high = sorted((0.0, change.whole.value))
        text = f"{formats.seconds(low)} to {formats.seconds(high)}"
    else:
        text = describe_change(change.whole)
    return f"EDITED AFTERWARDS: {text}" if outcome.is_edited else text


def describe_measurement(outcome: Outcome) -> str:
    """What was measured of the epoch; of a dose-response, the slope."""
    if outcome.slope is not None:
        interval = outcome.slope.interval()
        low, high = (None if end is None else f"{end:.2f}" for end in (interval.low, interval.high))
        return f"{interval.value:.2f} s per second of delay ({low} to {high})"
    if outcome.effect is None:
        return outcome.problem
    without = "" if outcome.is_evaluated else ", without the evaluation"
    return f"{describe_change(outcome.effect.epoch)}{without}"


def describe_phases(outcome: Outcome) -> str:
    """What was measured of the phases that may change, and of the others."""
    effect = outcome.effect
    if effect is None:
        return ""
    names = ", ".join(phase for phase in effect.phases if phase in effect.may_change)
    if len(effect.may_change) > 3:
        names = f"{len(effect.may_change)} phases"
    others = f"others {describe_change(effect.unchanged)}"
    parts = [f"{names} {describe_change(effect.changed)}", others] if names else [others]
    if outcome.carried_over is not None:
        share = formats.signed(formats.percent(outcome.carried_over))
        parts.append(
            f"steps with it off took {share} beside the no-op's: it acts beyond its own steps, or the machine changed"
        )
    return "; ".join(parts)


def describe_judgement(outcome: Outcome) -> str:
    """The verdict and its reason. Without one, that there is no prediction to judge."""
    judgement = outcome.judgement
    if outcome.is_edited:
        return "not judged: the prediction was changed after it was sealed"
    if judgement is None:
        return "not judged" if outcome.effect is not None else ""
    return "; ".join([str(judgement.verdict), *_direction(outcome), *_details(judgement), *_losses(outcome)])


def _direction(outcome: Outcome) -> Iterator[str]:
    """What is known although the size is undecided."""
    is_open = outcome.judgement is not None and outcome.judgement.verdict is Verdict.UNDECIDED
    if is_open and outcome.claim is not None and outcome.claim.moved_as_claimed:
        yield "the phases moved as claimed, but whether by as much as predicted is open"


def _details(judgement: Judgement) -> Iterator[str]:
    at_most = f"at most {formats.seconds(judgement.bound)} per epoch" if math.isfinite(judgement.bound) else ""
    if judgement.verdict is Verdict.BELOW_FLOOR:
        yield at_most or "without a bound"
    elif judgement.verdict is not Verdict.CONFIRMED:
        yield judgement.reason
    if judgement.more_steps is not None:
        yield f"about {formats.count(judgement.more_steps)} more steps would decide"


def _losses(outcome: Outcome) -> Iterator[str]:
    losses = outcome.losses
    if losses is not None and not losses.is_kept:
        yield f"losses differ by {losses.difference:.1e}, of {losses.allowed:g} allowed"


def describe_evidence(session: Session) -> str:
    """The stored runs and the drill-downs that the predictions were computed from."""
    drilldowns = f" and {_list_names('drill-down', session.drilldowns)}" if session.drilldowns else ""
    return f"predicted from {_list_names('run', session.baseline)}{drilldowns}"


def _list_names(noun: str, names: Sequence[str]) -> str:
    return f"{noun}{'s' * (len(names) != 1)} {', '.join(names)}"


def describe_withheld(assessment: Assessment) -> str:
    """Why a session's results are not shown."""
    title, day = assessment.session.title, assessment.session.created[:10]
    return f"{title}, {day}: nothing is reported, because {assessment.withheld}."


def describe_score(found: Score) -> str:
    """How good the predictions were."""
    slope = "" if found.slope is None else f", slope {found.slope:.2f} of measured on predicted"
    covered = f"{found.covered} of {found.with_interval} measurements agree within their 95 % interval"
    tests = f"{found.tests} prediction{'s' * (found.tests != 1)}"
    return f"{tests}: mean error {formats.seconds(found.error)} per epoch{slope}; {covered}"


def describe_interaction(interaction: Interaction) -> str:
    """What each change gains first and last, and what only the combination does."""
    parts = [
        f"{part.name} {describe_change(part.first_in)} alone"
        + ("" if part.last_in is None else f", {describe_change(part.last_in)} on top of the others")
        for part in interaction.parts
    ]
    return f"{'; '.join(parts)}. Beyond their sum: {describe_change(interaction.residual)}."


def describe_diagnosis(diagnosis: Diagnosis, slow: str, fast: str) -> tuple[str, ...]:
    """The gap as a product of causes, and the shortest list of changes that would nearly close it."""
    factors = [f"{name_cause(f.cause)} {formats.times(f.factor)}x" for f in diagnosis.factors]
    if abs(diagnosis.together - 1) > 1e-9:
        factors.append(f"their interaction {formats.times(diagnosis.together)}x")
    factors.append(f"the rest {formats.times(diagnosis.rest)}x")
    product = f"{slow} over {fast}, {formats.times(diagnosis.ratio)}x, by cause: {', '.join(factors)}."
    if not diagnosis.factors:
        return (f"{slow} over {fast}, {formats.times(diagnosis.ratio)}x: no tested change lowers this ratio.",)
    return product, _describe_shortest(diagnosis)


def _describe_shortest(diagnosis: Diagnosis) -> str:
    if diagnosis.shortest is None:
        left = formats.times(diagnosis.rest)
        return f"All of these changes together would leave {left}x; no list of them comes within {CLOSE}x."
    if not diagnosis.shortest:
        return f"The ratio is within {CLOSE}x without any change."
    return f"The shortest way to within {CLOSE}x: {_join(diagnosis.shortest)}."


def _join(causes: Sequence[Cause]) -> str:
    return ", then ".join(map(name_cause, causes))


def name_cause(cause: Cause) -> str:
    """Its name, and whether its gains were measured."""
    words = {True: "tested", False: "predicted"}
    how = words[cause.is_tested]
    if cause.is_tested_on_fast is not None:
        is_same = cause.is_tested_on_fast == cause.is_tested
        how += " on both sides" if is_same else f", on the faster side {words[cause.is_tested_on_fast]}"
    return f"{cause.name.replace('_', ' ')} ({how})"

"""Controls: a switch that does nothing and a slowdown of known size, in every session.

If the session does not find them right, it would not find other effects right either, so it reports nothing else.
"""

from collections.abc import Mapping

from epoch_gap.profiler.experiments.verdict import Claim, Judgement, Verdict, judge

PLANTED_SHARE = 0.2
"""of a step: the size of the planted slowdown, four times the tolerance"""


def judge_controls(claims: Mapping[str, Claim]) -> dict[str, Judgement]:
    """The verdicts on controls by name, each alone: a family of errors would make it easier to pass."""
    return {name: judge([claim])[0] for name, claim in claims.items()}


def why_withheld(judgements: Mapping[str, Judgement], expected: int = 2) -> str | None:
    """The reason why a session's results are withheld, or None: a control is missing, or was not confirmed."""
    if len(judgements) < expected:
        return f"only {len(judgements)} of {expected} controls were measured"
    for name, judgement in judgements.items():
        if judgement.verdict is not Verdict.CONFIRMED:
            more = f"; {judgement.more_steps} more steps would decide" if judgement.more_steps else ""
            return f"the control {name} was {judgement.verdict} ({judgement.reason}{more})"
    return None

"""Whether a subject's two timing modes agree, and which of them shows where a gap comes from."""

from epoch_gap.profiler.comparison.gap import Gap, Verdict
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase

SAME_WITHIN = 0.05
"""The largest deviation, as a share of the epoch, at which two timing modes count as equal."""


def modes_agree(subject: Subject) -> bool:
    """Whether fences leave the times of the step and of every phase unchanged, and no work is shifted."""
    if subject.is_eager:
        return True
    effect = subject.fence_effect
    if effect is None or not effect.is_harmless or effect.shifted_work:
        return False
    return largest_deviation(subject) <= SAME_WITHIN


def largest_deviation(subject: Subject) -> float:
    """The largest difference between the timing modes, of any phase or the whole, as a share of the as-run epoch."""
    assert subject.fenced is not None
    charged, done = subject.epoch, subject.fenced.epoch
    pairs = [(charged.total, done.total), *((part, done.phases[phase]) for phase, part in charged.phases.items())]
    differences = [abs(b.value - a.value) for a, b in pairs if a is not None and b is not None]
    return max(differences) / charged.total.value


def leading_gap(gap: Gap) -> Gap:
    """The gap by where the work was done, if a side charges much of it to another phase; otherwise `gap` as charged.

    Both must be gaps: with an undecided one there is nothing to divide into shares.
    """
    fenced = gap.fenced
    if fenced is None or not gap.verdict is fenced.verdict is Verdict.SLOWER:
        return gap
    return fenced if any(_shifts_work(side) for side in (gap.slow, gap.fast)) else gap


def is_where_work_was_done(gap: Gap) -> bool:
    """Whether the phases of `leading_gap` name the work itself, not only where the clock charged it."""
    return leading_gap(gap) is not gap or all(modes_agree(side) for side in (gap.slow, gap.fast))


def charged_phases(subject: Subject, phase: Phase) -> list[Phase]:
    """The other phases to which work done in `phase` is charged, the largest part first."""
    effect = subject.fence_effect
    return [shift.charged_to for shift in effect.shifted_work if shift.done_in is phase] if effect else []


def _shifts_work(subject: Subject) -> bool:
    effect = subject.fence_effect
    return effect is not None and bool(effect.shifted_work) and largest_deviation(subject) > SAME_WITHIN

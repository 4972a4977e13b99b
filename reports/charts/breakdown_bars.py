"""The bars of the breakdown as plain data: the subjects and timing modes to draw, and the visible phases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from epoch_gap.profiler.comparison.kernel_gap import mean_kernel_seconds
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.comparison.timing_modes import largest_deviation, modes_agree
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import formats
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.sentences.verdict import how_known
from epoch_gap.reports.view import View

CHARGED, DONE = "as charged", "where the work was done"
REACH = 1.5
"""An interval is cut off beyond this multiple of the longest bar; the table has its numbers."""
SHARES_BELOW = 0.2
"""A bar shorter than this share of the longest has no room for the labels of its phases, 150 pixels of 800."""
MARGIN = 1.02
"""length of an axis over that of its longest bar or interval"""


@dataclass(frozen=True)
class Bar:
    """One stacked bar: a subject in one timing mode."""

    title: str
    mode: str
    """`CHARGED` or `DONE`; empty if the subject has one bar"""
    subject: Subject
    hatched: bool
    """whether fences changed the step time"""
    flags: tuple[str, ...]
    kernel: Mapping[Phase, float] = field(default_factory=dict)
    """the part of each phase's seconds that is the operating system's; empty if unknown"""
    note: str = ""
    """the agreement of the two timing modes, if one bar shows both"""

    @property
    def label(self) -> str:
        """The subject, and the timing mode."""
        return f"{self.title}, {self.mode}" if self.mode else self.title

    @property
    def seconds(self) -> float:
        """Seconds of the epoch."""
        return self.subject.epoch.total.value

    @property
    def total(self) -> str:
        """The epoch with its interval, as text."""
        known = f"{formats.interval(self.subject.epoch.seconds)}, {how_known(self.subject)}"
        return f"{known}; {self.note}" if self.note else known

    @property
    def end(self) -> float:
        """The end of the epoch's interval, s."""
        interval = self.subject.epoch.seconds
        return interval.high or interval.value

    def share(self, phase: Phase) -> float:
        """A phase as a share of the epoch; 0 if the subject lacks it."""
        part = self.subject.epoch.phases.get(phase)
        return part.value / self.seconds if part else 0.0


def bars(view: View) -> list[Bar]:
    """Every subject as charged and, if it has fenced steps, where its work was done."""
    return [bar for subject in view.subjects for bar in _both_modes(subject)]


def picture_bars(view: View) -> list[Bar]:
    """The bars of `bars`, but only one for a subject whose two timing modes agree."""
    return [
        bar
        for subject in view.subjects
        for bar in ([_single(subject)] if modes_agree(subject) else _both_modes(subject))
    ]


def _both_modes(subject: Subject) -> list[Bar]:
    """The counters have a phase where the work is done: they split a bar as charged only if no work is shifted."""
    title, flags, effect = subject.title, tuple(subject.flag_titles), subject.fence_effect
    if subject.fenced is None or effect is None:
        return [Bar(title, "", subject, False, flags, _kernel(subject, subject))]
    charged = {} if effect.shifted_work else _kernel(subject, subject)
    done = _kernel(subject, subject.fenced)
    return [
        Bar(title, CHARGED, subject, False, flags, charged),
        Bar(title, DONE, subject.fenced, not effect.is_harmless, (), done),
    ]


def _single(subject: Subject) -> Bar:
    agreement = ""
    if not subject.is_eager:
        agreement = f"fenced: same within {formats.percent_at_most(largest_deviation(subject))}"
    return Bar(subject.title, "", subject, False, tuple(subject.flag_titles), _kernel(subject, subject), agreement)


def _kernel(subject: Subject, drawn: Subject) -> dict[Phase, float]:
    """The operating system's seconds by phase, at most those of the phase as it is drawn."""
    parts = drawn.epoch.phases
    return {
        phase: min(seconds, part.value)
        for phase, seconds in mean_kernel_seconds(subject).items()
        if (part := parts.get(phase)) is not None
    }


def needs_shares(rows: Sequence[Bar]) -> bool:
    """Whether a bar is too short to show its phases, so that a panel of shares is drawn too."""
    seconds = [bar.seconds for bar in rows]
    return min(seconds) < SHARES_BELOW * max(seconds)


def axis_end(rows: Sequence[Bar]) -> float:
    """The right end of the axis in seconds: the longest bar or the longest interval, cut off at `REACH`."""
    longest = max(bar.seconds for bar in rows)
    return MARGIN * max(min(bar.end, REACH * longest) for bar in rows)


def visible_phases(view: View, rows: Sequence[Bar]) -> list[Phase]:
    """The phases with a visible segment in the picture, in the order of the bars."""
    widths = [1 / MARGIN if needs_shares(rows) else bar.seconds / axis_end(rows) for bar in rows]
    return [
        phase
        for phase in view.phases
        if any(bar.share(phase) * width >= canvas.VISIBLE_FROM for bar, width in zip(rows, widths, strict=True))
    ]

"""The headline gap by phase, as a waterfall from the faster epoch to the slower one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epoch_gap.profiler.analysis.stats import Estimate, Interval
from epoch_gap.profiler.comparison.attribution import is_harmless, perturbation
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.breakdown import CHARGED, DONE
from epoch_gap.reports.charts.live import (
    INK,
    LINE,
    MUTED,
    Control,
    Live,
    Spec,
    axis,
    choices,
    hatching,
    key,
    layout,
    plain,
    reach,
    whiskers,
)
from epoch_gap.reports.sentences.verdict import fence_cost, largest
from epoch_gap.reports.view import View

SECONDS, SHARE = "seconds", "share of the gap"
NOTE = 18
"""pixels of a line above the waterfall"""
GAP_FROM = 0.002
"""a phase gets a column of its own in the waterfall from this share of the slower epoch; the rest are one column"""


@dataclass(frozen=True)
class Column:
    """One step of the waterfall, from `start` to `start + interval.value`, in seconds."""

    name: str
    colour: str
    start: float
    interval: Interval

    @property
    def end(self) -> float:
        """Where the next one starts."""
        return self.start + self.interval.value


@dataclass(frozen=True)
class Waterfall:
    """The gap in one ledger."""

    gap: Gap
    hatched: bool
    """fences changed what they measured, on one side at least"""
    notes: tuple[str, ...]
    """what fences cost each side"""


def columns(gap: Gap) -> list[Column]:
    """The gap's terms, the largest first; small ones together, so that the columns sum to the gap."""
    least = GAP_FROM * gap.slow.epoch.total.value
    large = sorted(((p, e) for p, e in gap.by_phase.items() if abs(e.value) >= least), key=lambda it: -it[1].value)
    small = [e for e in gap.by_phase.values() if abs(e.value) < least]
    terms = [(str(p), theme.PHASE_COLOURS[p], e) for p, e in large]
    if small:
        terms.append((f"{len(small)} smaller phases", theme.PHASE_COLOURS[Phase.OTHER], _together(small)))
    found, level = [], gap.fast_seconds
    for name, colour, part in terms:
        found.append(Column(name, colour, level, part.interval()))
        level += part.value
    return found


def _together(parts: list[Estimate]) -> Estimate:
    """The sum of estimates from the same steps: at the widest, as if their errors all went one way."""
    known = [part for part in parts if part.dof > 0]
    spread = sum(math.sqrt(part.variance) for part in known)
    return Estimate(sum(part.value for part in parts), spread**2, min((part.dof for part in known), default=0.0))


def finding(view: View) -> str:
    """What the waterfall as charged shows, in one line."""
    return _in_words(view.gaps[0], "charged to")


def _in_words(headline: Gap, how: str) -> str:
    seconds = theme.seconds(headline.seconds.value)
    if headline.verdict != "slower":
        return f"{headline.slow.title} minus {headline.fast.title}: {seconds} per epoch"
    phase, part = largest(headline)[0]
    share = f"{part.value / headline.seconds.value:.0%}".replace("%", " %")
    return f"{share} of the {seconds} that {headline.slow.title} takes longer is {how} {phase}"


def shown(view: View) -> bool:
    """Where there are two subjects."""
    return bool(view.gaps)


def static(view: View) -> Figure:
    """The waterfall by matplotlib."""
    headline = view.gaps[0]
    figure, (axes,) = canvas.figure(view, finding(view), height=4.6)
    steps = columns(headline)
    first, last = headline.fast_seconds, steps[-1].end if steps else headline.fast_seconds
    highest = max([first, last, *(step.end for step in steps)])
    _whole(axes, 0, first)
    for x, step in enumerate(steps, start=1):
        axes.bar(
            x, step.interval.value, 0.7, bottom=step.start, color=step.colour, edgecolor=theme.INK, linewidth=0.5
        )
        top = max(step.start, step.end)
        if (whisker := canvas.whisker(step.interval)) is not None:
            axes.errorbar(x, step.end, yerr=whisker, color=theme.INK, capsize=3, lw=1)
            top = max(top, step.end + whisker[1][0])
        axes.annotate(
            _signed(step.interval.value), (x, min(top, highest * 1.05)), (0, 3),
            textcoords="offset points", ha="center", va="bottom", fontsize=canvas.SMALL,
        )  # fmt: skip
    _whole(axes, len(steps) + 1, last)
    names = [headline.fast.title, *(step.name for step in steps), headline.slow.title]
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n", 1) for name in names], fontsize=canvas.SMALL)
    axes.set_ylabel("seconds per epoch")
    axes.set_ylim(0, highest * 1.18)
    return figure


def _whole(axes: Axes, x: int, seconds: float) -> None:
    axes.bar(x, seconds, 0.7, color=theme.GRID, edgecolor=theme.MUTED)
    axes.text(x, seconds, theme.seconds(seconds), ha="center", va="bottom", fontsize=canvas.SMALL, weight="bold")


def _signed(seconds: float) -> str:
    return f"{'+' if seconds >= 0 else ''}{theme.seconds(seconds)}"


def live(view: View) -> Live:
    """The waterfall by Plotly: in either ledger, in seconds or, where that is a gap, as shares of it."""
    ledgers = _ledgers(view.gaps[0])
    some = any(found.gap.verdict == "slower" for found in ledgers.values())
    controls = (Control("ledger", tuple(ledgers)), *([Control("unit", (SECONDS, SHARE))] if some else []))
    variants = {key(chosen): _spec(ledgers[chosen[0]], relative=SHARE in chosen) for chosen in choices(controls)}
    return Live(variants, controls)


def _ledgers(headline: Gap) -> dict[str, Waterfall]:
    """The headline's gap as charged and, where both sides have fenced steps, where the work was done."""
    found = {CHARGED: Waterfall(headline, False, ())}
    if headline.fenced:
        shifts = {side.title: perturbation(side) for side in (headline.slow, headline.fast)}
        known = {title: shift for title, shift in shifts.items() if shift is not None}
        costs = (f"{title}: {fence_cost(shift)}" for title, shift in known.items())
        notes = (f"Here: {_in_words(headline.fenced, 'work of')}", *costs)
        found[DONE] = Waterfall(headline.fenced, not all(map(is_harmless, known.values())), notes)
    return found


def _spec(one: Waterfall, relative: bool) -> Spec:
    gap, notes = one.gap, list(one.notes)
    steps = columns(gap)
    names = [step.name for step in steps]
    if relative and gap.verdict != "slower":
        notes.append(f"{gap.verdict} in this ledger: there is no gap to take shares of")
        relative = False
    if relative:
        data = _steps(one, steps, 100 / gap.seconds.value, from_zero=True)
        label = "% of the gap"
    else:
        names = [gap.fast.title, *names, gap.slow.title]
        data = [*_ends(gap, names), *_steps(one, steps, 1.0, from_zero=False)]
        label = "seconds per epoch"
    ticks = [plain(name).replace(" ", "<br>") for name in names]
    x = axis(
        tickvals=list(range(len(names))), ticktext=ticks, autotickangles=[0, 45, 90], range=[-0.6, len(names) - 0.4]
    )
    y = axis(label, rangemode="tozero")
    top = 12 + NOTE * len(notes)
    made = layout(408 + top, xaxis=x, yaxis=y, annotations=[_note(notes)] if notes else [])
    return {"data": data, "layout": {**made, "margin": {**made["margin"], "t": top}}}


def _note(lines: Sequence[str]) -> Spec:
    return {
        "text": "<br>".join(map(plain, lines)), "x": 0, "xref": "paper", "xanchor": "left", "y": 1, "yref": "paper",
        "yanchor": "bottom", "showarrow": False, "align": "left",
    }  # fmt: skip


def _ends(gap: Gap, names: list[str]) -> list[Spec]:
    both = [gap.fast_seconds, gap.fast_seconds + gap.seconds.value]
    return [
        {
            "type": "bar", "x": [0, len(names) - 1], "y": both, "width": 0.7,
            "marker": {"color": LINE, "line": {"color": MUTED, "width": 1}},
            "text": [theme.seconds(value) for value in both], "textposition": "outside", "cliponaxis": False,
            "hovertext": [
                f"<b>{plain(name)}</b>: {theme.seconds(value)} per epoch"
                for name, value in zip((names[0], names[-1]), both, strict=True)
            ],
            "hoverinfo": "text",
        }
    ]  # fmt: skip


def _steps(one: Waterfall, steps: list[Column], scale: float, from_zero: bool) -> list[Spec]:
    place = list(range(len(steps)) if from_zero else range(1, len(steps) + 1))
    base = [0.0 if from_zero else step.start for step in steps]
    ends = [step.interval.value * scale if from_zero else step.end for step in steps]
    colours = [step.colour for step in steps]
    reaches = [reach(step.interval, scale) for step in steps]
    tops = [
        max(foot, end) + (found[1] if found else 0.0) for foot, end, found in zip(base, ends, reaches, strict=True)
    ]
    shares = [one.gap.share(step.interval.value) for step in steps]
    words = ["" if share is None else f"{100 * share:.1f} %" for share in shares]
    hover = [
        f"<b>{plain(step.name)}</b>: {theme.interval(step.interval)}{f'<br>{share} of the gap' if share else ''}"
        for step, share in zip(steps, words, strict=True)
    ]
    return [
        {
            "type": "bar", "x": place, "y": [step.interval.value * scale for step in steps], "base": base,
            "width": 0.7, "hovertext": hover, "hoverinfo": "text",
            "marker": {
                "color": colours, "line": {"color": INK, "width": 0.5},
                "pattern": hatching([one.hatched] * len(steps), colours),
            },
        },
        whiskers("y", place, ends, reaches, cliponaxis=False),
        {
            "type": "scatter", "mode": "markers", "x": place, "y": ends,
            "marker": {"color": INK, "size": 3}, "cliponaxis": False, "hovertext": hover, "hoverinfo": "text",
        },
        {
            "type": "scatter", "mode": "text", "x": place, "y": tops, "cliponaxis": False, "hoverinfo": "skip",
            "text": [
                share if from_zero else _signed(step.interval.value)
                for step, share in zip(steps, words, strict=True)
            ],
            "textposition": "top center",
        },
    ]  # fmt: skip

"""The headline gap by phase, as a waterfall from the faster epoch to the slower one."""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epoch_gap.profiler.analysis.stats import Estimate, Interval
from epoch_gap.profiler.comparison.gap import Gap, Verdict
from epoch_gap.profiler.comparison.timing_modes import is_where_work_was_done, leading_gap
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.breakdown_bars import CHARGED, DONE
from epoch_gap.reports.charts.live import (
    INK,
    LINE,
    MUTED,
    Control,
    Live,
    Spec,
    axis,
    combinations,
    escaped,
    hatching,
    layout,
    note,
    variant_name,
    whisker_lengths,
    whiskers,
)
from epoch_gap.reports.sentences.verdict import describe_charge, describe_fence_cost, largest_phases
from epoch_gap.reports.view import View

SECONDS, SHARE = "seconds", "share of the gap"
NOTE_PIXELS = 18
"""height of a line above the waterfall, on the page"""
OF_GAP, OF_EPOCH = 0.01, 0.002
"""The smallest shares of the gap and of the slower epoch at which a phase gets its own column."""
LETTERS, MOST_UPRIGHT = 92, 10
"""characters that fit below all columns together, and the columns up to which a phase's name fits"""


@dataclass(frozen=True)
class Column:
    """One step of the waterfall, from `start` to `start + interval.value`, in seconds."""

    name: str
    colour: str
    start: float
    interval: Interval

    @property
    def end(self) -> float:
        """The start of the next column."""
        return self.start + self.interval.value


@dataclass(frozen=True)
class Waterfall:
    """The gap in one timing mode."""

    gap: Gap
    names: tuple[str, str]
    """of the faster and the slower side"""
    hatched: bool
    """whether fences changed the step time on at least one side"""
    notes: tuple[str, ...]
    """the cost of fences on each side"""


def columns(gap: Gap) -> list[Column]:
    """The terms of the gap, the largest first; the small ones are one column, so that the columns sum to the gap."""
    least = max(OF_GAP * abs(gap.seconds.value), OF_EPOCH * gap.slow.epoch.total.value)
    by_size = sorted(gap.by_phase.items(), key=lambda item: -item[1].value)
    by_size = [(phase, part) for phase, part in by_size if part.value or part.variance]
    small = [(phase, part) for phase, part in by_size if abs(part.value) < least]
    together = small if len(small) > 1 else []
    terms = [
        (str(phase), theme.phase_colour(phase), part) for phase, part in by_size if (phase, part) not in together
    ]
    if together:
        name = f"{len(together)} other phases"
        terms.append((name, theme.phase_colour(Phase.OTHER), _sum([part for _, part in together])))
    made, level = [], gap.fast_seconds
    for name, colour, part in terms:
        made.append(Column(name, colour, level, part.interval()))
        level += part.value
    return made


def _sum(parts: list[Estimate]) -> Estimate:
    """The sum of estimates from the same steps, with the widest interval: as if all errors had the same sign."""
    known = [part for part in parts if part.dof > 0]
    spread = sum(math.sqrt(part.variance) for part in known)
    return Estimate(sum(part.value for part in parts), spread**2, min((part.dof for part in known), default=0.0))


def finding(view: View) -> str:
    """The phase that makes up most of the gap: where the work was done, if that is known, and where it is charged."""
    headline, names = view.gaps[0], _names(view)
    if not is_where_work_was_done(headline):
        return _finding(headline, "charged to", names)
    lead = leading_gap(headline)
    phase, _ = largest_phases(lead)[0]
    charge = describe_charge(headline, phase) if lead.verdict is Verdict.SLOWER else ""
    return f"{_finding(lead, 'work done in', names)}{charge}"


def _names(view: View) -> tuple[str, str]:
    """The faster and the slower side."""
    headline = view.gaps[0]
    return headline.fast.title, headline.slow.title


def _finding(gap: Gap, verb: str, names: tuple[str, str]) -> str:
    (fast, slow), seconds = names, formats.seconds(gap.seconds.value)
    if gap.verdict is not Verdict.SLOWER:
        return f"{slow} minus {fast}: {seconds} per {gap.slow.size.span}"
    phase, part = largest_phases(gap)[0]
    share = f"{part.value / gap.seconds.value:.0%}".replace("%", " %")
    return f"{share} of the extra {seconds} that {slow} takes is {verb} {phase}"


def shown(view: View) -> bool:
    """Whether there are two subjects."""
    return bool(view.gaps)


@canvas.styled
def static(view: View) -> Figure:
    """The waterfall by matplotlib."""
    mode, lead = next(iter(_waterfalls(view).items()))
    headline, (fast, slow) = lead.gap, lead.names
    figure, (axes,) = canvas.figure(view, finding(view), [3.9])
    if mode == DONE:
        axes.set_title("\n".join((DONE, *lead.notes)), loc="left", fontsize=canvas.SMALL)
    steps = columns(headline)
    first, last = headline.fast_seconds, steps[-1].end if steps else headline.fast_seconds
    highest = max([first, last, *(step.end for step in steps)])
    _draw_epoch(axes, 0, first)
    for x, step in enumerate(steps, start=1):
        _draw_column(axes, x, step, headline.share(step.interval.value), highest, hatch="//" if lead.hatched else "")
    _draw_epoch(axes, len(steps) + 1, last)
    _name_columns(axes, [fast, *(step.name for step in steps), slow])
    axes.set_ylabel(f"seconds per {headline.slow.size.span}")
    axes.set_ylim(0, highest * 1.2)
    return figure


def _name_columns(axes: Axes, names: Sequence[str]) -> None:
    """Write the names below the columns, over several lines; slanted if there are many."""
    many = len(names) > MOST_UPRIGHT
    width = LETTERS // len(names)
    lines = [name if many else textwrap.fill(name, width, break_long_words=False) for name in names]
    axes.set_xticks(range(len(names)), lines, rotation=30 if many else 0, ha="right" if many else "center")
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, len(names) - 0.4)


def _draw_column(axes: Axes, x: int, step: Column, share: float | None, highest: float, hatch: str) -> None:
    style: dict[str, Any] = {"color": step.colour, "edgecolor": theme.INK, "linewidth": 0.5, "hatch": hatch}
    axes.bar(x, step.interval.value, 0.7, bottom=step.start, **style)
    axes.plot([x - 1 + 0.35, x - 0.35], [step.start] * 2, color=theme.MUTED, lw=0.6)
    axes.plot([x + 0.35, x + 1 - 0.35], [step.end] * 2, color=theme.MUTED, lw=0.6)
    top = max(step.start, step.end)
    if (whisker := canvas.whisker(step.interval)) is not None:
        axes.errorbar(x, step.end, yerr=whisker, color=theme.INK, capsize=3, lw=1)
        top = max(top, step.end + whisker[1][0])
    label = _signed(step.interval.value) + ("" if share is None else f"\n{formats.percent(share)}")
    _write_above(axes, x, min(top, highest * 1.05), label)


def _draw_epoch(axes: Axes, x: int, seconds: float) -> None:
    axes.bar(x, seconds, 0.7, color=theme.GRID, edgecolor=theme.MUTED)
    _write_above(axes, x, seconds, formats.seconds(seconds), weight="bold")


def _write_above(axes: Axes, x: int, y: float, text: str, weight: str = "normal") -> None:
    axes.annotate(
        text,
        (x, y),
        (0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=canvas.SMALL,
        weight=weight,
    )


def _signed(seconds: float) -> str:
    return formats.signed(formats.seconds(seconds))


def live(view: View) -> Live:
    """The waterfall by Plotly: in either timing mode, in seconds or as shares of the gap if there is one."""
    waterfalls = _waterfalls(view)
    is_gap = any(waterfall.gap.verdict is Verdict.SLOWER for waterfall in waterfalls.values())
    controls = (
        Control("timing mode", tuple(waterfalls)),
        *([Control("unit", (SECONDS, SHARE))] if is_gap else []),
    )
    variants = {
        variant_name(chosen): _spec(waterfalls[chosen[0]], relative=SHARE in chosen)
        for chosen in combinations(controls)
    }
    return Live(variants, controls)


def _waterfalls(view: View) -> dict[str, Waterfall]:
    """The headline gap as charged and, if known, where the work was done; the leading one first.

    The chart's finding is that of the leading one; the other has its own above it.
    """
    headline, names = view.gaps[0], _names(view)
    charged = Waterfall(headline, names, False, ())
    if headline.fenced is None:
        return {CHARGED: charged}
    sides = (headline.slow, names[1]), (headline.fast, names[0])
    effects = {name: effect for side, name in sides if (effect := side.fence_effect) is not None}
    costs = tuple(f"{name}: {describe_fence_cost(effect.perturbation)}" for name, effect in effects.items())
    done = Waterfall(headline.fenced, names, not all(effect.is_harmless for effect in effects.values()), costs)
    if leading_gap(headline) is not headline:
        return {DONE: done, CHARGED: _with_finding(charged, "charged to")}
    return {CHARGED: charged, DONE: _with_finding(done, "work done in")}


def _with_finding(waterfall: Waterfall, verb: str) -> Waterfall:
    return replace(waterfall, notes=(f"Here: {_finding(waterfall.gap, verb, waterfall.names)}", *waterfall.notes))


def _spec(waterfall: Waterfall, relative: bool) -> Spec:
    gap, notes = waterfall.gap, list(waterfall.notes)
    steps = columns(gap)
    names = [step.name for step in steps]
    if relative and gap.verdict is not Verdict.SLOWER:
        notes.append(f"{gap.verdict} in this timing mode: there is no gap to divide into shares")
        relative = False
    if relative:
        data = _columns(waterfall, steps, 100 / gap.seconds.value, from_zero=True)
        label = "% of the gap"
    else:
        fast, slow = waterfall.names
        names = [fast, *names, slow]
        data = [*_epochs(gap, names), *_columns(waterfall, steps, 1.0, from_zero=False)]
        label = f"seconds per {gap.slow.size.span}"
    x = axis(
        tickvals=list(range(len(names))),
        ticktext=[escaped(name).replace(" ", "<br>") for name in names],
        autotickangles=[0, 90],
        range=[-0.6, len(names) - 0.4],
    )
    top = 12 + NOTE_PIXELS * len(notes)
    text = "<br>".join(map(escaped, notes))
    annotations = [note(text, x=0, xref="paper", y=1, yref="paper")] if notes else []
    made = layout(408 + top, xaxis=x, yaxis=axis(label, rangemode="tozero"), annotations=annotations)
    return {"data": data, "layout": {**made, "margin": {**made["margin"], "t": top}}}


def _epochs(gap: Gap, names: Sequence[str]) -> list[Spec]:
    """The two epochs, at the left and the right end."""
    seconds = [gap.fast_seconds, gap.fast_seconds + gap.seconds.value]
    hover = [
        f"<b>{escaped(name)}</b>: {formats.seconds(value)} per {gap.slow.size.span}"
        for name, value in zip((names[0], names[-1]), seconds, strict=True)
    ]
    return [
        {
            "type": "bar",
            "x": [0, len(names) - 1],
            "y": seconds,
            "width": 0.7,
            "marker": {"color": LINE, "line": {"color": MUTED, "width": 1}},
            "text": [formats.seconds(value) for value in seconds],
            "textposition": "outside",
            "constraintext": "none",
            "cliponaxis": False,
            "hovertext": hover,
            "hoverinfo": "text",
        }
    ]


def _columns(waterfall: Waterfall, steps: Sequence[Column], scale: float, from_zero: bool) -> list[Spec]:
    """The columns with their whiskers and labels: each from zero, or from the end of the one before."""
    places = list(range(len(steps)) if from_zero else range(1, len(steps) + 1))
    bases = [0.0 if from_zero else step.start for step in steps]
    ends = [step.interval.value * scale if from_zero else step.end for step in steps]
    colours = [step.colour for step in steps]
    lengths = [whisker_lengths(step.interval, scale) for step in steps]
    tops = [
        max(base, end) + (length[1] if length else 0.0)
        for base, end, length in zip(bases, ends, lengths, strict=True)
    ]
    shares = [waterfall.gap.share(step.interval.value) for step in steps]
    share_texts = ["" if share is None else f"{100 * share:.1f} %" for share in shares]
    hover = [
        f"<b>{escaped(step.name)}</b>: {formats.interval(step.interval)}{f'<br>{share} of the gap' if share else ''}"
        for step, share in zip(steps, share_texts, strict=True)
    ]
    bars = {
        "type": "bar",
        "x": places,
        "y": [step.interval.value * scale for step in steps],
        "base": bases,
        "width": 0.7,
        "hovertext": hover,
        "hoverinfo": "text",
        "marker": {
            "color": colours,
            "line": {"color": INK, "width": 0.5},
            "pattern": hatching([waterfall.hatched] * len(steps), colours),
        },
    }
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": places,
        "y": ends,
        "marker": {"color": INK, "size": 3},
        "cliponaxis": False,
        "hovertext": hover,
        "hoverinfo": "text",
    }
    labels = {
        "type": "scatter",
        "mode": "text",
        "x": places,
        "y": tops,
        "text": share_texts if from_zero else [_signed(step.interval.value) for step in steps],
        "textposition": "top center",
        "cliponaxis": False,
        "hoverinfo": "skip",
    }
    return [bars, whiskers("y", places, ends, lengths, cliponaxis=False), points, labels]

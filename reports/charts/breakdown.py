"""Seconds per epoch by phase: one stacked bar for each subject and ledger, the article's epochs beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epoch_gap.profiler.comparison.attribution import is_harmless, perturbation
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.live import (
    INK,
    MUTED,
    PAPER,
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
from epoch_gap.reports.sentences.verdict import how_known
from epoch_gap.reports.view import View

CHARGED, DONE = "as charged", "where the work was done"
SECONDS, SHARE = "seconds", "share of the epoch"
LABEL_FROM = 0.08
"""a segment gets a label inside from this share of the longest bar"""
REACH = 1.5
"""an interval beyond this multiple of the longest bar runs out of the picture; its figures are in the table"""
ROW = 92
"""pixels of a bar and the line above it"""


@dataclass(frozen=True)
class Bar:
    """One stacked bar: a subject in one ledger."""

    title: str
    ledger: str
    """`CHARGED`, `DONE`, or empty where there are not two"""
    subject: Subject
    hatched: bool
    """fences changed what they measured"""
    flags: tuple[str, ...]

    @property
    def label(self) -> str:
        """Whose bar it is, and in which ledger."""
        return f"{self.title}, {self.ledger}" if self.ledger else self.title

    @property
    def total(self) -> str:
        """The epoch in words."""
        return f"{theme.interval(self.subject.epoch.total.interval(least=0.0))}, {how_known(self.subject)}"


def bars(view: View) -> list[Bar]:
    """Every subject as charged and, where it has fenced steps, where its work was done."""
    found = []
    for subject in view.subjects:
        shift, flags = perturbation(subject), tuple(view.flag_names(subject))
        two = subject.fenced is not None and shift is not None
        found.append(Bar(subject.title, CHARGED if two else "", subject, False, flags))
        if subject.fenced is not None and shift is not None:
            found.append(Bar(subject.title, DONE, subject.fenced, not is_harmless(shift), ()))
    return found


def finding(view: View) -> str:
    """What the stacked bars show, in one line."""
    if not view.gaps or view.gaps[0].verdict != "slower":
        return "Where an epoch goes"
    headline = view.gaps[0]
    return f"{headline.slow.title}: {theme.times(headline.ratio.value)} times the epoch of {headline.fast.title}"


def shown(view: View) -> bool:
    """Always."""
    return True


def static(view: View) -> Figure:
    """The bars by matplotlib."""
    rows = bars(view)
    count = len(rows) + len(view.article)
    figure, (axes,) = canvas.figure(view, finding(view), height=1.6 + 0.95 * count)
    longest = _longest(view)
    for row, bar in enumerate(rows):
        _stack(axes, row, bar, longest)
    for row, run in enumerate(view.article, start=len(rows)):
        axes.barh(row, run.epoch_seconds, 0.5, facecolor="none", edgecolor=theme.MUTED, linestyle="--")
        said = f"{run.title}: {theme.seconds(run.epoch_seconds)}, not measured here"
        axes.annotate(said, (0, row - 0.26), (0, 2), **_ABOVE, fontsize=canvas.SMALL, color=theme.MUTED)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(count - 0.6, -0.85)
    axes.set_xlim(0, 1.02 * max([longest, *(_end(bar, longest) for bar in rows)]))
    full = view.subjects[0].first.manifest["full_epoch"]
    then = ", then the test set" if full["test_images"] else ""
    axes.set_xlabel(f"seconds per epoch ({full['train_images']} training images{then})", fontsize=canvas.SMALL)
    canvas.phase_legend(axes, view.phases)
    return figure


def _longest(view: View) -> float:
    return max([s.epoch.total.value for s in view.subjects] + [run.epoch_seconds for run in view.article])


def _stack(axes: Axes, row: int, bar: Bar, longest: float) -> None:
    left, epoch = 0.0, bar.subject.epoch
    for phase, part in epoch.phases.items():
        if part is None:
            continue
        colour = theme.PHASE_COLOURS[phase]
        axes.barh(
            row, part.value, 0.5, left=left, color=colour, edgecolor=theme.PAPER, linewidth=0.4,
            hatch="//" if bar.hatched else "",
        )  # fmt: skip
        if part.value >= LABEL_FROM * longest:
            label = f"{phase}\n{theme.percent(part.value / epoch.total.value)}"
            middle = left + part.value / 2
            axes.text(middle, row, label, ha="center", va="center", color=theme.ink_on(colour), fontsize=canvas.SMALL)
        left += part.value
    total = epoch.total.interval(least=0.0)
    if (whisker := canvas.whisker(total)) is not None:
        axes.errorbar(total.value, row, xerr=whisker, color=theme.INK, capsize=3, lw=1)
    axes.annotate(bar.label, (0, row - 0.26), (0, 12), **_ABOVE, fontsize=9, weight="bold")
    axes.annotate(f"{bar.total}{_flags(bar)}", (0, row - 0.26), (0, 2), **_ABOVE, fontsize=canvas.SMALL)


_ABOVE: Any = {"textcoords": "offset points", "va": "bottom", "ha": "left"}


def _flags(bar: Bar) -> str:
    return "".join(f"   \N{WARNING SIGN} {name}" for name in bar.flags)


def _end(bar: Bar, longest: float) -> float:
    """Where the bar's interval ends, or the picture does."""
    interval = bar.subject.epoch.total.interval(least=0.0)
    return min(interval.high or interval.value, longest * REACH)


def live(view: View) -> Live:
    """The bars by Plotly: in seconds or as shares, in either ledger."""
    rows = bars(view)
    two = any(bar.ledger for bar in rows)
    controls = (*([Control("ledger", ("both", CHARGED, DONE))] if two else []), Control("unit", (SECONDS, SHARE)))
    variants = {}
    for chosen in choices(controls):
        kept = [bar for bar in rows if bar.ledger in ("", *chosen) or "both" in chosen]
        variants[key(chosen)] = _spec(view, kept, relative=SHARE in chosen)
    return Live(variants, controls, tuple((str(p), theme.PHASE_COLOURS[p]) for p in view.phases))


def _spec(view: View, rows: Sequence[Bar], relative: bool) -> Spec:
    scales = [100 / bar.subject.epoch.total.value if relative else 1.0 for bar in rows]
    article = [] if relative else list(view.article)
    titles = [f"<b>{plain(bar.label)}</b><br>{bar.total}{plain(_flags(bar))}" for bar in rows]
    titles += [f"{plain(run.title)}: {theme.seconds(run.epoch_seconds)}, not measured here" for run in article]
    right = 100.0 if relative else max([_longest(view), *(_end(bar, _longest(view)) for bar in rows)])
    return {
        "data": [*_segments(view, rows, scales), *([] if relative else _totals(rows))],
        "layout": layout(
            ROW * len(titles) + 60,
            barmode="stack",
            uniformtext={"minsize": 9, "mode": "hide"},
            xaxis=axis("% of the epoch" if relative else "seconds per epoch", range=[0, right * 1.02]),
            yaxis={"visible": False, "range": [len(titles) - 0.6, -0.8], "fixedrange": True},
            annotations=[_title(text, row) for row, text in enumerate(titles)],
            shapes=[_outline(run.epoch_seconds, row) for row, run in enumerate(article, start=len(rows))],
        ),
    }


def _segments(view: View, rows: Sequence[Bar], scales: Sequence[float]) -> list[Spec]:
    """A trace for each phase; a phase that a bar does not have is null."""
    traces = []
    for phase in view.phases:
        parts = [bar.subject.epoch.phases.get(phase) for bar in rows]
        colour = theme.PHASE_COLOURS[phase]
        shares = [p.value / bar.subject.epoch.total.value if p else None for p, bar in zip(parts, rows, strict=True)]
        traces.append(
            {
                "type": "bar", "orientation": "h", "name": str(phase), "width": 0.5,
                "y": list(range(len(rows))),
                "x": [p.value * scale if p else None for p, scale in zip(parts, scales, strict=True)],
                "text": [f"{phase}<br>{theme.percent(share)}" if share else "" for share in shares],
                "textposition": "inside", "insidetextanchor": "middle", "textangle": 0, "constraintext": "inside",
                "textfont": {"color": theme.ink_on(colour)},
                "hovertext": [_hover(bar, phase) for bar in rows], "hoverinfo": "text",
                "marker": {
                    "color": colour, "line": {"color": PAPER, "width": 0.5},
                    "pattern": hatching([bar.hatched for bar in rows], colour),
                },
            }
        )  # fmt: skip
    return traces


def _hover(bar: Bar, phase: Any) -> str:
    interval = bar.subject.epoch.interval(phase)
    if interval is None:
        return ""
    share = theme.percent(interval.value / bar.subject.epoch.total.value)
    return f"<b>{phase}</b>: {theme.interval(interval)}<br>{share} of {plain(bar.label)}"


def _totals(rows: Sequence[Bar]) -> list[Spec]:
    """The epochs' intervals, at the ends of the bars; shown while no phase is switched off."""
    intervals = [bar.subject.epoch.total.interval(least=0.0) for bar in rows]
    ends, places = [i.value for i in intervals], list(range(len(rows)))
    return [
        whiskers("x", ends, places, [reach(i) for i in intervals], name="interval", meta="whole"),
        {
            "type": "scatter", "mode": "markers", "name": "epoch", "meta": "whole", "x": ends, "y": places,
            "marker": {"color": INK, "size": 5},
            "hovertext": [f"<b>epoch</b>: {bar.total}<br>{plain(bar.label)}" for bar in rows], "hoverinfo": "text",
        },
    ]  # fmt: skip


def _title(text: str, row: int) -> Spec:
    return {
        "text": text, "x": 0, "xref": "paper", "xanchor": "left", "y": row - 0.26, "yanchor": "bottom",
        "showarrow": False, "align": "left",
    }  # fmt: skip


def _outline(seconds: float, row: int) -> Spec:
    return {
        "type": "rect", "x0": 0, "x1": seconds, "y0": row - 0.25, "y1": row + 0.25,
        "line": {"dash": "dash", "color": MUTED, "width": 1.5},
    }  # fmt: skip

"""Every step of every run over time: warm-up, fenced blocks, outliers, drift, and the canary."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.analysis.run_analysis import RunAnalysis
from epoch_gap.profiler.analysis.stats import outer_fences
from epoch_gap.profiler.analysis.step_selection import counts_as_full
from epoch_gap.profiler.analysis.warm_up import StartKind
from epoch_gap.profiler.storage.run import StepTable
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas, thinning
from epoch_gap.reports.charts.live import INK, LINE, MUTED, Control, Live, Spec, axis, escaped, layout
from epoch_gap.reports.view import View

PANELS = 4
"""The most runs shown in the picture; the page has all of them."""
MOST_EPOCHS = 40
"""The most epochs between which borders are drawn."""
MANY_STEPS = 400
"""Runs of at least this many steps get smaller marks."""
CANARY = "canary, scaled to the median step"


class Mark(StrEnum):
    """The kind of a step, as the chart marks it."""

    ASRUN = "as-run step"
    FENCED = "fenced step"
    WARM_UP = "warm-up"
    EXCLUDED = "excluded"
    """Excluded at the start of the run, but not a warm-up: the steps were not slower, or never became steady."""
    OUTLIER = "outlier"


LOOK = {
    Mark.ASRUN: ("#0072b2", "o", "circle"),
    Mark.FENCED: ("#8e4585", "s", "square"),
    Mark.WARM_UP: ("#e69f00", "^", "triangle-up"),
    Mark.EXCLUDED: ("#7f7f7f", "v", "triangle-down"),
    Mark.OUTLIER: ("#d7301f", "X", "x"),
}
"""Colour, matplotlib's marker, Plotly's symbol: colour is never the only difference."""


@dataclass(frozen=True)
class Track:
    """One run's training steps, as many as are drawn: columns of shape (n,)."""

    title: str
    number: NDArray[np.int64]
    """of the step in its run, from 1"""
    seconds: NDArray[np.float64]
    mark: NDArray[np.object_]
    note: str
    """the number of steps that are drawn, if not all are"""
    trend: tuple[tuple[float, float], tuple[float, float]] | None
    """first and last point of the line fitted to the steps, if they clearly drift"""
    canary: tuple[NDArray[np.int64], NDArray[np.float64]]
    """step numbers, and the time of a median step scaled by the canary"""
    epochs: tuple[int, ...]
    """number of the first step of each epoch but the first"""


def tracks(view: View) -> list[Track]:
    """One track per run."""
    return [track(subject.title, analysis) for subject in view.subjects for analysis in subject.analyses]


def track(title: str, analysis: RunAnalysis) -> Track:
    """The drawn part of a run, by the title of its subject."""
    run, train = analysis.run, analysis.run.train
    seconds = np.asarray(train.wall_ns * NS, np.float64)
    drawn = thinning.drawn_indices(seconds)
    borders = np.flatnonzero(np.diff(train.epoch)) + 2
    return Track(
        title=f"{title}, run {run.short_id}",
        number=drawn + 1,
        seconds=seconds[drawn],
        mark=_marks(analysis)[drawn],
        note=thinning.note(len(drawn), len(train)),
        trend=_trend(analysis),
        canary=_canary(analysis),
        epochs=tuple(int(i) for i in borders) if len(borders) < MOST_EPOCHS else (),
    )


def _marks(analysis: RunAnalysis) -> NDArray[np.object_]:
    run, train = analysis.run, analysis.run.train
    steady = analysis.asrun.steady
    low, high = outer_fences(steady.wall_ns)
    full = counts_as_full(train, run.batch_size)
    marks = np.full(len(train), Mark.ASRUN, np.object_)
    marks[train.fenced] = Mark.FENCED
    start = analysis.selection.start
    excluded = Mark.WARM_UP if start.kind is StartKind.WARM_UP else Mark.EXCLUDED
    marks[full & (np.cumsum(full) <= start.steps)] = excluded
    outliers = steady.where((steady.wall_ns < low) | (steady.wall_ns > high))
    marks[np.isin(_keys(train), _keys(outliers))] = Mark.OUTLIER
    return marks


def _keys(steps: StepTable) -> NDArray[np.int64]:
    """One number per epoch and step."""
    return steps.epoch * 2**32 + steps.index


def _trend(analysis: RunAnalysis) -> tuple[tuple[float, float], tuple[float, float]] | None:
    steps = analysis.selection.for_trend
    if not analysis.has_drifted or len(steps) < 2:
        return None
    number = np.flatnonzero(np.isin(_keys(analysis.run.train), _keys(steps))) + 1
    slope, level = np.polyfit(number, steps.wall_ns * NS, 1)
    first, last = float(number[0]), float(number[-1])
    return (first, float(level + slope * first)), (last, float(level + slope * last))


def _canary(analysis: RunAnalysis) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    run = analysis.run
    ns = np.array([reading.matmul_ns + reading.loop_ns for reading in run.readings], np.float64)
    if not len(ns):
        return np.empty(0, np.int64), ns
    at = np.searchsorted(run.train.start_ns, [reading.at_ns for reading in run.readings]) + 1
    drawn = thinning.drawn_indices(ns, thinning.MOST // 4)
    step = float(np.median(analysis.asrun.steady.wall_ns)) * NS
    return np.minimum(at, len(run.train))[drawn], (ns / float(np.median(ns)) * step)[drawn]


def finding(view: View) -> str:
    """How each run started, and whether it drifted."""
    parts = []
    for subject in view.subjects:
        starts = dict.fromkeys(_describe_start(analysis) for analysis in subject.analyses)
        parts.append(f"{subject.title} {', '.join(starts)}")
    return f"Step by step: {'; '.join(parts)}"


def _describe_start(analysis: RunAnalysis) -> str:
    start = analysis.selection.start
    is_counted = start.kind in (StartKind.WARM_UP, StartKind.SLOWDOWN) and start.steps > 1
    kind = f"{start.steps} steps of {start.kind}" if is_counted else str(start.kind)
    return f"{kind}, drifting" if analysis.has_drifted else kind


def shown(view: View) -> bool:
    """Always."""
    return True


@canvas.styled
def static(view: View) -> Figure:
    """The first runs by matplotlib, one below the other."""
    every = tracks(view)
    drawn = every[:PANELS]
    left_out = f" (the first {PANELS} of {len(every)} runs)" if len(every) > PANELS else ""
    heights = [2.35, *[2.0] * (len(drawn) - 1)]
    figure, panels = canvas.figure(view, finding(view) + left_out, heights)
    for axes, run_track in zip(panels, drawn, strict=True):
        _panel(axes, run_track, pad=20 if axes is panels[0] else 6)  # the first has the legend below its title
    panels[-1].set_xlabel("training step")
    labelled = [pair for axes in panels for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    handles = {str(label): handle for handle, label in labelled}
    order = [*map(str, Mark), "trend", CANARY]
    canvas.legend_above(panels[0], sorted(handles.values(), key=lambda h: order.index(str(h.get_label()))))
    return figure


def _panel(axes: Axes, run_track: Track, pad: float) -> None:
    number, seconds = run_track.number, run_track.seconds
    axes.set_title(f"{run_track.title}{run_track.note}", loc="left", fontsize=9, weight="bold", pad=pad)
    axes.plot(number, seconds, color=theme.GRID, lw=0.8, zorder=1)
    if len(run_track.canary[0]):
        axes.plot(*run_track.canary, color=theme.MUTED, lw=1, ls=":", label=CANARY, zorder=2)
    for mark, (colour, shape, _) in LOOK.items():
        chosen = run_track.mark == mark
        if chosen.any():
            size = 14 if len(number) <= MANY_STEPS else 4
            axes.scatter(number[chosen], seconds[chosen], s=size, c=colour, marker=shape, label=mark, zorder=3)
    if run_track.trend:
        axes.plot(*zip(*run_track.trend, strict=True), color=theme.INK, ls="--", lw=1.2, label="trend", zorder=4)
    for border in run_track.epochs:
        axes.axvline(border - 0.5, color=theme.GRID, lw=1, zorder=0)
    axes.set_ylim(0, 1.08 * max(seconds.max(), run_track.canary[1].max(initial=0.0)))
    axes.set_ylabel("s per step")
    axes.grid(axis="y")


def live(view: View) -> Live:
    """One run at a time, by Plotly, with zoom."""
    every = tracks(view)
    which = Control("run", tuple(run_track.title for run_track in every))
    variants = {run_track.title: _spec(run_track) for run_track in every}
    return Live(variants, (which,) if len(every) > 1 else ())


def _spec(run_track: Track) -> Spec:
    steps = {"color": LINE, "width": 1}
    traces: list[Spec] = [_line("line", run_track.number, run_track.seconds, steps, "skip")]
    for mark, (colour, _, symbol) in LOOK.items():
        chosen = run_track.mark == mark
        if chosen.any():
            traces.append(_points(run_track, mark, chosen, colour, symbol))
    numbers, seconds = run_track.canary
    if len(numbers):
        traces.append(_line(CANARY, numbers, seconds, {"color": MUTED, "dash": "dot", "width": 1.5}, "name"))
    if run_track.trend:
        traces.append(_trend_line(run_track.trend))
    made = layout(
        360,
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        xaxis=axis(f"training step{run_track.note}"),
        yaxis=axis("seconds per step", rangemode="tozero"),
        shapes=[_border(number) for number in run_track.epochs],
        margin={"l": 12, "r": 12, "t": 50, "b": 44},
    )
    return {"data": traces, "layout": made}


def _line(name: str, x: NDArray[np.int64], y: NDArray[np.float64], line: Spec, hover: str) -> Spec:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escaped(name),
        "x": x.tolist(),
        "y": y.round(6).tolist(),
        "line": line,
        "hoverinfo": hover,
        "showlegend": hover != "skip",
    }


def _trend_line(trend: Sequence[tuple[float, float]]) -> Spec:
    xs, ys = (list(values) for values in zip(*trend, strict=True))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "trend of the steps",
        "x": xs,
        "y": ys,
        "line": {"color": INK, "dash": "dash"},
        "hoverinfo": "name",
    }


def _points(run_track: Track, mark: Mark, chosen: NDArray[np.bool_], colour: str, symbol: str) -> Spec:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": str(mark),
        "x": run_track.number[chosen].tolist(),
        "y": run_track.seconds[chosen].round(6).tolist(),
        "marker": {"color": colour, "symbol": symbol, "size": 7 if len(run_track.number) <= MANY_STEPS else 4},
        "hovertemplate": f"step %{{x}}: %{{y:.4g}} s<br>{mark}<extra></extra>",
    }


def _border(number: int) -> Spec:
    line = {"color": LINE, "width": 1}
    return {"type": "line", "x0": number - 0.5, "x1": number - 0.5, "y0": 0, "y1": 1, "yref": "paper", "line": line}

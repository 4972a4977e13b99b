"""Every step of every run over time: its warm-up, its fenced blocks, its outliers, its drift, and the canary."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS, beginning, moving_steps, steady_steps, warm_up
from epoch_gap.profiler.analysis.flags import drifted
from epoch_gap.profiler.analysis.stats import outer_fences
from epoch_gap.profiler.analysis.warm_up import Kind
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.run import Run, StepTable
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas, thinning
from epoch_gap.reports.charts.live import LINE, MUTED, Control, Live, Spec, axis, layout, plain
from epoch_gap.reports.sentences.verdict import short_id
from epoch_gap.reports.view import View

PANELS = 4
"""runs in the picture; the page has them all"""
MOST_EPOCHS = 40
"""borders of more are not drawn"""


class Mark(StrEnum):
    """What a step is, as the chart marks it."""

    ASRUN = "as-run step"
    FENCED = "fenced step"
    WARM_UP = "warm-up"
    KEPT_APART = "kept apart"
    """not averaged in, and no warm-up: a beginning that was not slower, or did not end"""
    OUTLIER = "outlier"


LOOK = {
    Mark.ASRUN: ("#0072b2", "o", "circle"), Mark.FENCED: ("#8e4585", "s", "square"),
    Mark.WARM_UP: ("#e69f00", "^", "triangle-up"), Mark.KEPT_APART: ("#7f7f7f", "v", "triangle-down"),
    Mark.OUTLIER: ("#d7301f", "X", "x"),
}  # fmt: skip
"""colour, matplotlib's marker, Plotly's symbol: never told apart by colour alone"""


@dataclass(frozen=True)
class Track:
    """One run's training steps, as many as are drawn: columns of shape (n,)."""

    title: str
    run: Run
    number: NDArray[np.int64]
    """of the step in its run, from 1"""
    seconds: NDArray[np.float64]
    mark: NDArray[np.object_]
    note: str
    """how many steps are not drawn"""
    trend: tuple[tuple[float, float], tuple[float, float]] | None
    """first and last point of the line through the steps, where they clearly drift"""
    canary: tuple[NDArray[np.int64], NDArray[np.float64]]
    """step number, and what a median step would have taken if it had moved as the canary did"""
    epochs: tuple[int, ...]
    """numbers of the first steps of the second epoch and those after"""


def track(subject: Subject, run: Run) -> Track:
    """What is drawn of a run."""
    train, seconds = run.train, np.asarray(run.train.wall_ns * NS, np.float64)
    kept = thinning.kept(seconds)
    borders = np.flatnonzero(np.diff(train.epoch)) + 2
    return Track(
        title=f"{subject.title}, run {short_id(run)}",
        run=run,
        number=kept + 1,
        seconds=seconds[kept],
        mark=_marks(run)[kept],
        note=thinning.note(len(kept), len(train)),
        trend=_trend(run),
        canary=_canary(run),
        epochs=tuple(int(i) for i in borders) if len(borders) < MOST_EPOCHS else (),
    )


def _marks(run: Run) -> NDArray[np.object_]:
    train = run.train
    steady = steady_steps(run)
    low, high = outer_fences(steady.wall_ns)
    full = train.images == run.batch_size
    marks = np.full(len(train), Mark.ASRUN, np.object_)
    marks[train.fenced] = Mark.FENCED
    found = beginning(train, run.batch_size)
    apart = Mark.WARM_UP if found.kind is Kind.WARM_UP else Mark.KEPT_APART
    marks[full & (np.cumsum(full) <= found.start)] = apart
    outside = (train.wall_ns < low) | (train.wall_ns > high)
    marks[outside & np.isin(_places(train), _places(steady))] = Mark.OUTLIER
    return marks


def _places(steps: StepTable) -> NDArray[np.int64]:
    """One number for each epoch and step."""
    return steps.epoch * 2**32 + steps.index


def _trend(run: Run) -> tuple[tuple[float, float], tuple[float, float]] | None:
    moving = moving_steps(run)
    if not drifted(run) or len(moving) < 2:
        return None
    number = np.flatnonzero(np.isin(_places(run.train), _places(moving))) + 1
    slope, level = np.polyfit(number, moving.wall_ns * NS, 1)
    first, last = float(number[0]), float(number[-1])
    return (first, float(level + slope * first)), (last, float(level + slope * last))


def _canary(run: Run) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    ns = np.array([reading.matmul_ns + reading.loop_ns for reading in run.readings], np.float64)
    if not len(ns):
        return np.empty(0, np.int64), ns
    at = np.searchsorted(run.train.start_ns, [reading.at_ns for reading in run.readings]) + 1
    kept = thinning.kept(ns, thinning.MOST // 4)
    step = float(np.median(steady_steps(run).wall_ns)) * NS
    return np.minimum(at, len(run.train))[kept], (ns / float(np.median(ns)) * step)[kept]


def finding(view: View) -> str:
    """How each run began and whether it drifted, in one line."""
    words = []
    for subject in view.subjects:
        kinds = dict.fromkeys(_in_words(run) for run in subject.runs)
        words.append(f"{subject.title} {', '.join(kinds)}")
    return f"Step by step: {'; '.join(words)}"


def _in_words(run: Run) -> str:
    found = warm_up(run)
    counted = found.kind in (Kind.WARM_UP, Kind.SLOWDOWN) and found.steps > 1
    kind = f"{found.steps} steps of {found.kind}" if counted else str(found.kind)
    return f"{kind}, drifting" if drifted(run) else kind


def shown(view: View) -> bool:
    """Always."""
    return True


def tracks(view: View) -> list[Track]:
    """Every run's."""
    return [track(subject, run) for subject in view.subjects for run in subject.runs]


def static(view: View) -> Figure:
    """The first runs by matplotlib, under each other."""
    found = tracks(view)
    some = found[:PANELS]
    left_out = f" (the first {PANELS} of {len(found)} runs)" if len(found) > PANELS else ""
    figure, panels = canvas.figure(view, finding(view) + left_out, height=1.2 + 2.1 * len(some), rows=len(some))
    for axes, one in zip(panels, some, strict=True):
        _panel(axes, one, pad=22 if axes is panels[0] else 6)  # the first has the legend below its title
    panels[-1].set_xlabel("training step", fontsize=canvas.SMALL)
    handles = dict(pair for axes in panels for pair in zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    panels[0].legend(
        handles.values(), handles.keys(), ncols=6, fontsize=canvas.SMALL, frameon=False,
        loc="lower left", bbox_to_anchor=(-0.02, 0.98),
    )  # fmt: skip
    return figure


def _panel(axes: Axes, one: Track, pad: float) -> None:
    axes.set_title(f"{one.title}{one.note}", loc="left", fontsize=canvas.SMALL + 1, weight="bold", pad=pad)
    axes.plot(one.number, one.seconds, color=theme.GRID, lw=0.8, zorder=1)
    axes.plot(*one.canary, color=theme.MUTED, lw=1, ls=":", label="canary, scaled", zorder=2)
    for mark, (colour, shape, _) in LOOK.items():
        here = one.mark == mark
        if here.any():
            size = 14 if len(one.number) <= 400 else 4
            axes.scatter(one.number[here], one.seconds[here], s=size, c=colour, marker=shape, label=mark, zorder=3)
    if one.trend:
        axes.plot(*zip(*one.trend, strict=True), color=theme.INK, ls="--", lw=1.2, label="trend", zorder=4)
    for border in one.epochs:
        axes.axvline(border - 0.5, color=theme.GRID, lw=1, zorder=0)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("s per step", fontsize=canvas.SMALL)
    axes.grid(axis="y", color=theme.GRID)


def live(view: View) -> Live:
    """One run at a time, by Plotly, to be zoomed into."""
    found = tracks(view)
    which = Control("run", tuple(one.title for one in found))
    return Live({one.title: _spec(one) for one in found}, (which,) if len(found) > 1 else ())


def _spec(one: Track) -> Spec:
    traces: list[Spec] = [_line("line", one.number, one.seconds, {"color": LINE, "width": 1}, "skip")]
    for mark, (colour, _, symbol) in LOOK.items():
        here = one.mark == mark
        if here.any():
            traces.append(_points(one, mark, here, colour, symbol))
    numbers, seconds = one.canary
    if len(numbers):
        dots = {"color": MUTED, "dash": "dot", "width": 1.5}
        traces.append(_line("canary, scaled to the median step", numbers, seconds, dots, "name"))
    if one.trend:
        xs, ys = (list(values) for values in zip(*one.trend, strict=True))
        traces.append({"type": "scatter", "mode": "lines", "name": "trend of the steps", "x": xs, "y": ys,
                       "line": {"color": "var(--ink)", "dash": "dash"}, "hoverinfo": "name"})  # fmt: skip
    return {
        "data": traces,
        "layout": layout(
            360,
            showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            xaxis=axis(f"training step{one.note}"), yaxis=axis("seconds per step", rangemode="tozero"),
            shapes=[_border(number) for number in one.epochs],
            margin={"l": 12, "r": 12, "t": 50, "b": 44},
        ),
    }  # fmt: skip


def _line(name: str, x: NDArray[np.int64], y: NDArray[np.float64], line: Spec, hover: str) -> Spec:
    return {
        "type": "scatter", "mode": "lines", "name": plain(name), "x": x.tolist(), "y": y.round(6).tolist(),
        "line": line,
        "hoverinfo": hover, "showlegend": hover != "skip",
    }  # fmt: skip


def _points(one: Track, mark: Mark, here: NDArray[np.bool_], colour: str, symbol: str) -> Spec:
    return {
        "type": "scatter", "mode": "markers", "name": str(mark), "x": one.number[here].tolist(),
        "y": one.seconds[here].round(6).tolist(),
        "marker": {"color": colour, "symbol": symbol, "size": 7 if len(one.number) <= 400 else 4},
        "hovertemplate": f"step %{{x}}: %{{y:.4g}} s<br>{mark}<extra></extra>",
    }  # fmt: skip


def _border(number: int) -> Spec:
    line = {"color": LINE, "width": 1}
    return {"type": "line", "x0": number - 0.5, "x1": number - 0.5, "y0": 0, "y1": 1, "yref": "paper", "line": line}

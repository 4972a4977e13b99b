"""The article's two curves for the timed runs: the loss of every batch, and train and test loss per epoch."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import canvas, thinning
from epoch_gap.reports.charts.live import Control, Live, Spec, axis, escaped, layout
from epoch_gap.reports.view import View

NOT_ENOUGH = "not enough steps to compare accuracy"
LOGARITHMIC_FROM = 5
"""The step axis is logarithmic from this ratio of the longest run to the shortest, so that both are visible."""
AVERAGED_FROM = 400
"""Runs of at least this many steps get a moving average over the batch losses, because single steps merge."""
TITLE_LETTERS = 26
"""characters per line of a title beside the points of one epoch"""
WINDOWS = 50
"""moving averages per run"""
KINDS = {"train": ("-", True), "test": ("--", False)}
"""line style, and whether markers are filled"""


def shown(view: View) -> bool:
    """Always."""
    return True


def finding(view: View) -> str:
    """The test accuracies, the highest first; or that the runs are too short to compare them."""
    if not all(subject.has_whole_epoch for subject in view.subjects):
        return f"Loss of the runs that were timed: {NOT_ENOUGH}"
    last = [(s, s.first.epochs[-1].test_acc) for s in view.subjects if s.first.epochs]
    ranked = sorted(last, key=lambda item: -(item[1] or 0))
    accuracies = [f"{s.title} {formats.percent(accuracy)}" for s, accuracy in ranked if accuracy]
    which = "the first run of each" if any(len(s.runs) > 1 for s in view.subjects) else "the runs that were timed"
    return f"Test accuracy of {which}: {', '.join(accuracies)}" if accuracies else f"Loss of {which}"


def batch_losses(run: Run) -> tuple[Sequence[int], Sequence[float], str]:
    """Step numbers from 1, losses, and a note on points that are not drawn."""
    indices = thinning.drawn_indices(run.train.loss)
    return (
        [int(i) + 1 for i in indices],
        [float(run.train.loss[i]) for i in indices],
        thinning.note(len(indices), len(run.train)),
    )


def moving_average(run: Run) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Step numbers at the middle of each window, mean losses, and the width of a window in steps."""
    losses = np.asarray(run.train.loss, np.float64)
    width = max(1, len(losses) // WINDOWS)
    means = np.asarray(np.convolve(losses, np.full(width, 1 / width), mode="valid"), np.float64)
    numbers = np.arange(len(means), dtype=np.float64) + (width + 1) / 2
    drawn = thinning.drawn_indices(means)
    return numbers[drawn], means[drawn], width


@canvas.styled
def static(view: View) -> Figure:
    """Both curves by matplotlib; the second is a row of points per subject if there is one epoch."""
    epochs = max(len(s.first.epochs) for s in view.subjects)
    heights = [2.9] + ([0.75 + 0.24 * len(view.subjects)] if epochs == 1 else [2.7] if epochs else [])
    figure, panels = canvas.figure(view, finding(view), heights)
    _draw_batches(panels[0], view)
    if epochs == 1:
        _draw_one_epoch(panels[1], view)
    elif epochs:
        _draw_epochs(panels[1], view, epochs)
    return figure


def _draw_batches(axes: Axes, view: View) -> None:
    handles: list[Line2D] = []
    by_length = sorted(canvas.coloured_subjects(view), key=lambda item: -len(item[0].first.train))
    for subject, title, colour in by_length:
        run = subject.first
        x, y, note = batch_losses(run)
        is_long = len(run.train) >= AVERAGED_FROM
        width = 1.3 if handles else 2.2  # keeps the lowest line visible if another covers it
        axes.plot(x, y, color=colour, lw=0.5 if is_long else width, alpha=0.4 if is_long else 1)
        if is_long:
            numbers, means, steps = moving_average(run)
            axes.plot(numbers, means, color=colour, lw=1.6)
            note += f", bold: mean of {steps} steps"
        handles.append(Line2D([], [], color=colour, lw=1.6, label=f"{title}{note}"))
    order = [title for _, title, _ in canvas.coloured_subjects(view)]
    handles.sort(key=lambda handle: order.index(next(t for t in order if str(handle.get_label()).startswith(t))))
    lengths = [len(s.first.train) for s in view.subjects]
    if max(lengths) >= LOGARITHMIC_FROM * min(lengths):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _finish(axes, "training step")
    canvas.legend_above(axes, handles)


def _draw_epochs(axes: Axes, view: View, epochs: int) -> None:
    for subject, _, colour in canvas.coloured_subjects(view):
        numbers = [e.epoch + 1 for e in subject.first.epochs]
        for kind, (style, filled) in KINDS.items():
            losses: Any = [getattr(e, f"{kind}_loss") for e in subject.first.epochs]
            axes.plot(numbers, losses, ls=style, marker="o", ms=4, mfc=colour if filled else "none", color=colour)
    axes.set_xlim(0.5, epochs + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _finish(axes, "epoch")
    canvas.legend_above(axes, _kind_handles(lines=True))


def _draw_one_epoch(axes: Axes, view: View) -> None:
    subjects = canvas.coloured_subjects(view)
    for row, (subject, _, colour) in enumerate(subjects):
        for kind, (_, filled) in KINDS.items():
            losses: Any = [getattr(e, f"{kind}_loss") for e in subject.first.epochs]
            axes.plot(losses, [row], ls="", marker="o", ms=6, mfc=colour if filled else "none", color=colour)
    titles = [textwrap.fill(title, TITLE_LETTERS) for _, title, _ in subjects]
    axes.set_yticks(range(len(subjects)), titles)
    axes.set_ylim(len(subjects) - 0.4, -0.6)
    axes.set_xlim(0, 1.05 * axes.dataLim.xmax if axes.dataLim.xmax > 0 else 1)
    axes.set_xlabel("cross-entropy loss of the epoch")
    axes.grid()
    canvas.legend_above(axes, _kind_handles(lines=False))


def _kind_handles(lines: bool) -> list[Line2D]:
    """Grey legend keys for train and test, which are drawn in each subject's own colour."""
    grey = theme.MUTED
    return [
        Line2D([], [], ls=style if lines else "", marker="o", mfc=grey if filled else "none", color=grey, label=kind)
        for kind, (style, filled) in KINDS.items()
    ]


def _finish(axes: Axes, x: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel("cross-entropy loss")
    axes.set_ylim(bottom=0)
    axes.grid()


def live(view: View) -> Live:
    """One of the two curves at a time, by Plotly."""
    which = Control("loss", ("of every batch", "per epoch"))
    specs = (_batches(view), _epochs(view))
    switches = tuple((title, colour) for _, title, colour in canvas.coloured_subjects(view))
    return Live(dict(zip(which.options, specs, strict=True)), (which,), switches)


def _batches(view: View) -> Spec:
    traces = []
    for subject, title, colour in canvas.coloured_subjects(view):
        x, y, note = batch_losses(subject.first)
        hover = f"{escaped(title)}{note}<br>step %{{x}}: loss %{{y:.4g}}"
        traces.append(_trace(title, colour, x, y, hover, mode="lines"))
    return {"data": traces, "layout": _layout("training step")}


def _epochs(view: View) -> Spec:
    traces = []
    for subject, title, colour in canvas.coloured_subjects(view):
        epochs = subject.first.epochs
        for kind, dash in (("train", "solid"), ("test", "dash")):
            hover = f"{escaped(title)}, {kind}<br>epoch %{{x}}: loss %{{y:.4g}}"
            line = {"color": colour, "dash": dash}
            numbers, losses = [e.epoch + 1 for e in epochs], [getattr(e, f"{kind}_loss") for e in epochs]
            traces.append(_trace(title, colour, numbers, losses, hover, mode="lines+markers", line=line))
    spec = _layout("epoch: train solid, test dashed")
    spec["xaxis"]["dtick"] = 1 if max((len(s.first.epochs) for s in view.subjects), default=0) <= 20 else None
    return {"data": traces, "layout": spec}


def _trace(title: str, colour: str, x: Sequence[int], y: Sequence[float | None], hover: str, **more: object) -> Spec:
    return {
        "type": "scatter",
        "name": title,
        "x": list(x),
        "y": [_finite(value) for value in y],
        "line": {"color": colour},
        "hovertemplate": f"{hover}<extra></extra>",
        **more,
    }


def _finite(value: float | None) -> float | None:
    """JSON has no NaN: a loss that diverged is a gap in the line."""
    return float(value) if value is not None and np.isfinite(value) else None


def _layout(x: str) -> Spec:
    return layout(340, xaxis=axis(x), yaxis=axis("cross-entropy loss", rangemode="tozero"))

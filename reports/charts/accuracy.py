"""What both sides learn: the loss of every batch at equal step counts, test accuracies, and losses per epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.accuracy import Evaluation
from epoch_gap.profiler.comparison.accuracy import AccuracyComparison, AccuracyVerdict, LossComparison
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import accuracy_points, canvas, thinning
from epoch_gap.reports.charts.live import LINE, Control, Live, Spec, axis, escaped, layout, note
from epoch_gap.reports.view import View

AVERAGED_FROM = 400
"""Runs of at least this many steps get a moving average over the batch losses, because single steps merge."""
NOTE_PIXELS = 30
"""height of the line above the losses, on the page"""
WINDOWS = 50
"""moving averages per run"""
KINDS = {"train": ("-", True), "test": ("--", False)}
"""line style, and whether markers are filled"""


def shown(view: View) -> bool:
    """Always."""
    return True


def finding(view: View) -> str:
    """The test accuracies, and whether a difference between the headline pair can be claimed."""
    points = accuracy_points.accuracy_points(view)
    if view.learning is not None:
        return _compared(view.learning)
    if not points:
        return "Training loss; no test accuracy was measured"
    return f"Test accuracy: {', '.join(f'{title} {_percent(evaluation)}' for title, _, evaluation in points)}"


def _compared(learning: AccuracyComparison) -> str:
    a, b = learning.evaluations
    if a is None or b is None:
        return "Training loss at equal steps; the test accuracy of both sides was not measured"
    if learning.verdict is AccuracyVerdict.NOT_COMPARABLE:
        unit, counts = ("images", (a.images, b.images)) if a.steps == b.steps else ("steps", (a.steps, b.steps))
        word = "on" if a.steps == b.steps else "after"
        return f"Test accuracy is not comparable: evaluated {word} {counts[0]} and {counts[1]} {unit}"
    sides = f"{learning.slow.title} {_percent(a)}, {learning.fast.title} {_percent(b)}"
    claim = "they differ" if learning.verdict is AccuracyVerdict.DIFFERS else "no difference can be claimed"
    return f"Test accuracy after {a.steps} steps: {sides}: {claim}"


def _percent(evaluation: Evaluation) -> str:
    return formats.percent(evaluation.accuracy.value)


def last_step(view: View) -> int:
    """The last training step that the picture shows: the last that the headline pair has in common."""
    losses = compared_losses(view)
    return losses.steps if losses else max(len(s.first.train) for s in view.subjects)


def compared_losses(view: View) -> LossComparison | None:
    """The losses of the headline pair at equal step counts."""
    return view.learning.losses if view.learning else None


def batch_losses(run: Run, end: int) -> tuple[Sequence[int], Sequence[float], str]:
    """Numbers from 1 and losses of the first `end` steps, and a note on points that are not drawn."""
    losses = run.train.loss[:end]
    indices = thinning.drawn_indices(losses)
    omitted = f" (first {end} of {len(run.train)} steps)" if end < len(run.train) else ""
    return (
        [int(i) + 1 for i in indices],
        [float(losses[i]) for i in indices],
        omitted + thinning.note(len(indices), len(losses)),
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
    """The losses up to the last common step, the losses per epoch if there are several, and the test accuracies."""
    points, epochs = accuracy_points.accuracy_points(view), max(len(s.first.epochs) for s in view.subjects)
    per_epoch, evaluated = [2.7] if epochs > 1 else [], [accuracy_points.height(points)] if points else []
    figure, panels = canvas.figure(view, finding(view), [2.9, *per_epoch, *evaluated])
    _draw_batches(panels[0], view)
    if per_epoch:
        _draw_epochs(panels[1], view, epochs)
    if points:
        accuracy_points.draw(panels[-1], points)
    return figure


def _draw_batches(axes: Axes, view: View) -> None:
    handles: list[Line2D | Patch] = []
    for subject, title, colour in canvas.coloured_subjects(view):
        run, end = subject.first, last_step(view)
        x, y, label = batch_losses(run, end)
        is_long = len(x) >= AVERAGED_FROM
        width = 1.3 if handles else 2.2  # keeps the lowest line visible if another covers it
        axes.plot(x, y, color=colour, lw=0.5 if is_long else width, alpha=0.4 if is_long else 1)
        if is_long:
            numbers, means, steps = moving_average(run)
            axes.plot(numbers[numbers <= end], means[numbers <= end], color=colour, lw=1.6)
            label += f", bold: mean of {steps} steps"
        handles.append(Line2D([], [], color=colour, lw=1.6, label=f"{title}{label}"))
    if (losses := compared_losses(view)) is not None:
        axes.axvspan(*compared_steps(losses), color=theme.GRID, zorder=0)
        axes.hlines(losses.means, *compared_steps(losses), colors=_pair_colours(view), lw=1, ls="--")
        handles.append(Patch(color=theme.GRID, label=_window(losses)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(0.5, last_step(view) + 0.5)
    _finish(axes, "training step")
    canvas.legend_above(axes, handles)


def compared_steps(losses: LossComparison) -> tuple[float, float]:
    """The ends of the compared steps on the axis of step numbers."""
    return losses.steps - losses.last + 0.5, losses.steps + 0.5


def _window(losses: LossComparison) -> str:
    return f"compared: last {losses.last} of {losses.steps} common steps, dashed: means"


def _pair_colours(view: View) -> list[str]:
    """The colours of the slower and the faster side of the headline pair."""
    colours = {subject.id: colour for subject, _, colour in canvas.coloured_subjects(view)}
    return [colours[side.id] for gap in view.gaps[:1] for side in (gap.slow, gap.fast)]


def _draw_epochs(axes: Axes, view: View, epochs: int) -> None:
    for subject, _, colour in canvas.coloured_subjects(view):
        numbers = [e.epoch + 1 for e in subject.first.epochs]
        for kind, (style, filled) in KINDS.items():
            losses: Any = [getattr(e, f"{kind}_loss") for e in subject.first.epochs]
            axes.plot(numbers, losses, ls=style, marker="o", ms=4, mfc=colour if filled else "none", color=colour)
    axes.set_xlim(0.5, epochs + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _finish(axes, "epoch")
    canvas.legend_above(axes, _kind_handles())


def _kind_handles() -> list[Line2D]:
    """Grey legend keys for train and test, which are drawn in each subject's own colour."""
    grey = theme.MUTED
    return [
        Line2D([], [], ls=style, marker="o", mfc=grey if filled else "none", color=grey, label=kind)
        for kind, (style, filled) in KINDS.items()
    ]


def _finish(axes: Axes, x: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel("cross-entropy loss")
    axes.set_ylim(bottom=0)
    axes.grid()


def live(view: View) -> Live:
    """The losses of every batch, the losses per epoch, or the test accuracies, by Plotly."""
    which = Control("show", ("loss of every batch", "loss per epoch", "test accuracy"))
    specs = (_batches(view), _epochs(view), accuracy_points.live(accuracy_points.accuracy_points(view)))
    switches = tuple((title, colour) for _, title, colour in canvas.coloured_subjects(view))
    return Live(dict(zip(which.options, specs, strict=True)), (which,), switches)


def _batches(view: View) -> Spec:
    traces = []
    for subject, title, colour in canvas.coloured_subjects(view):
        x, y, omitted = batch_losses(subject.first, len(subject.first.train))
        hover = f"{escaped(title)}{omitted}<br>step %{{x}}: loss %{{y:.4g}}"
        traces.append(_trace(title, colour, x, y, hover, mode="lines"))
    made = _layout("training step")
    if (losses := compared_losses(view)) is not None:
        start, end = compared_steps(losses)
        window = {"type": "rect", "x0": start, "x1": end, "y0": 0, "y1": 1, "yref": "paper", "layer": "below"}
        level = {"type": "line", "x0": start, "x1": end}
        means = zip(losses.means, _pair_colours(view), strict=True)
        made["shapes"] = [
            {**window, "fillcolor": LINE, "line": {"width": 0}},
            *(
                {**level, "y0": m, "y1": m, "line": {"color": colour, "dash": "dash", "width": 1}}
                for m, colour in means
            ),
        ]
        made["xaxis"]["range"] = [0.5, end]
        made["annotations"] = [note(escaped(_window(losses)), x=0, xref="paper", y=1, yref="paper")]
        made["margin"] = {**made["margin"], "t": NOTE_PIXELS}
    return {"data": traces, "layout": made}


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

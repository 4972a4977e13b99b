"""The article's two curves: every batch's loss, and train and test loss per epoch, of the runs that were timed."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas, thinning
from epoch_gap.reports.charts.live import Control, Live, Spec, axis, layout, plain
from epoch_gap.reports.sentences.verdict import accuracy_is_comparable
from epoch_gap.reports.view import View

NOT_ENOUGH = "not enough steps to compare accuracy"


def shown(view: View) -> bool:
    """Always."""
    return True


def _coloured(view: View) -> list[tuple[Subject, str]]:
    return list(zip(view.subjects, theme.SUBJECT_COLOURS * 9, strict=False))


def _batch_losses(run: Run) -> tuple[Sequence[int], Sequence[float], str]:
    """Step numbers from 1, losses, and what was left out for drawing."""
    kept = thinning.kept(run.train.loss)
    return (
        [int(i) + 1 for i in kept],
        [float(run.train.loss[i]) for i in kept],
        thinning.note(len(kept), len(run.train)),
    )


def finding(view: View) -> str:
    """Whose test accuracy is higher, or that these runs are too short to say."""
    if not accuracy_is_comparable(view.subjects):
        return f"Loss of the runs that were timed: {NOT_ENOUGH}"
    best = [(s, s.first.epochs[-1].test_acc) for s in view.subjects if s.first.epochs]
    words = [f"{s.title} {theme.percent(acc)}" for s, acc in sorted(best, key=lambda it: -(it[1] or 0)) if acc]
    which = "the first run of each" if any(len(s.runs) > 1 for s in view.subjects) else "the runs that were timed"
    return f"Test accuracy of {which}: {', '.join(words)}" if words else f"Loss of {which}"


def static(view: View) -> Figure:
    """Both curves by matplotlib."""
    figure, (batches, epochs) = canvas.figure(view, finding(view), height=6.2, rows=2)
    for subject, colour in _coloured(view):
        run = subject.first
        x, y, note = _batch_losses(run)
        batches.plot(x, y, color=colour, lw=1.2, label=f"{subject.title}{note}")
        x = [e.epoch + 1 for e in run.epochs]
        for name, style, fill in (("train", "-", colour), ("test", "--", "none")):
            losses = [getattr(e, f"{name}_loss") for e in run.epochs]
            epochs.plot(
                x, losses, ls=style, marker="o", ms=5, mfc=fill, color=colour, label=f"{subject.title}, {name}"
            )
    _label(batches, "training step")
    _label(epochs, "epoch")
    last = max([len(subject.first.epochs) for subject in view.subjects] + [1])
    epochs.set_xlim(0.5, last + 0.5)
    epochs.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return figure


def _label(axes: Axes, x: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel("cross-entropy loss")
    axes.set_ylim(bottom=0)
    axes.grid(color=theme.GRID)
    if axes.lines:
        axes.legend(frameon=False, fontsize=canvas.SMALL)


def live(view: View) -> Live:
    """One of the curves at a time, by Plotly."""
    per = Control("loss", ("of every batch", "per epoch"))
    specs = (_batches(view), _epochs(view))
    switches = tuple((subject.title, colour) for subject, colour in _coloured(view))
    return Live(dict(zip(per.options, specs, strict=True)), (per,), switches)


def _batches(view: View) -> Spec:
    traces = []
    for subject, colour in _coloured(view):
        x, y, note = _batch_losses(subject.first)
        traces.append(_trace(subject, colour, x, y, f"{note}<br>step %{{x}}: loss %{{y:.4g}}", mode="lines"))
    return {"data": traces, "layout": _layout("training step")}


def _epochs(view: View) -> Spec:
    traces = []
    for subject, colour in _coloured(view):
        epochs = subject.first.epochs
        for name, dash in (("train", "solid"), ("test", "dash")):
            values = [getattr(e, f"{name}_loss") for e in epochs]
            x, said = [e.epoch + 1 for e in epochs], f", {name}<br>epoch %{{x}}: loss %{{y:.4g}}"
            traces.append(
                _trace(subject, colour, x, values, said, mode="lines+markers", line={"color": colour, "dash": dash})
            )
    spec = _layout("epoch: train solid, test dashed")
    spec["xaxis"]["dtick"] = 1 if max((len(s.first.epochs) for s in view.subjects), default=0) <= 20 else None
    return {"data": traces, "layout": spec}


def _trace(subject: Subject, colour: str, x: Sequence[int], y: Sequence[float], said: str, **more: object) -> Spec:
    return {
        "type": "scatter", "name": subject.title, "x": list(x), "y": [_finite(value) for value in y],
        "line": {"color": colour}, "hovertemplate": f"{plain(subject.title)}{said}<extra></extra>", **more,
    }  # fmt: skip


def _finite(value: float | None) -> float | None:
    """JSON knows no NaN: a loss that diverged is a hole in the line."""
    return float(value) if value is not None and np.isfinite(value) else None


def _layout(x: str) -> Spec:
    return layout(340, xaxis=axis(x), yaxis=axis("cross-entropy loss", rangemode="tozero"))

"""The pictures, drawn by matplotlib. Each function takes the view and returns a figure; `png` makes it bytes."""

import io
from collections.abc import Callable, Iterator, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from profiler.attribution import is_harmless, perturbation
from profiler.compare import Gap
from profiler.drilldown.layers import differences
from profiler.drilldown.spans import Direction
from profiler.drilldown.stacks import Box, Stacks, boxes
from profiler.phases import Phase
from profiler.stats import Estimate
from profiler.subject import Subject
from reports import theme
from reports.view import View, accuracy_is_comparable, flag_names, how_known, largest

matplotlib.rcParams["text.parse_math"] = False  # a label may hold any text, dollars too
WIDTH, DPI = 9.0, 160
DONE = "where the work was done"
LABEL_FROM = 0.08
"""a segment gets a label inside from this share of the longest bar"""
DEEPEST = 40
LEAST_BOX = 0.002
"""a flame graph's narrower rectangles are not drawn, of all samples; deeper ones neither"""
REACH = 1.5
"""an interval beyond this multiple of the longest bar runs out of the picture; its figures are in the table"""
GAP_FROM = 0.002
"""a phase gets a column of its own in the waterfall from this share of the slower epoch; the rest are one column"""


def png(figure: Figure) -> bytes:
    """The figure as PNG, the same bytes for the same figure."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=theme.PAPER, metadata={"Software": None})
    return buffer.getvalue()


def breakdown(view: View) -> Figure:
    """Seconds per epoch by phase, one stacked bar per subject, the article's epochs beside them."""
    bars = list(_bars(view.subjects))
    rows = len(bars) + len(view.article)
    figure, axes = _figure(view, _finding(view), height=1.9 + 0.72 * rows)
    longest = max([s.epoch.total.value for s in view.subjects] + [run.epoch_seconds for run in view.article])
    labels = []
    for row, (label, subject, hatch) in enumerate(bars):
        flags = "" if label == DONE else _flags(view, subject)
        _stack(axes, row, subject, longest, hatch, flags)
        labels.append(label)
    for row, run in enumerate(view.article, start=len(bars)):
        axes.barh(row, run.epoch_seconds, 0.55, facecolor="none", edgecolor=theme.MUTED, linestyle="--")
        axes.text(
            run.epoch_seconds,
            row,
            f"  {run.epoch_seconds:.0f} s, not measured here",
            va="center",
            color=theme.MUTED,
        )
        labels.append(run.title)
    axes.set_yticks(range(rows), labels)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3 * max([longest, *(_end(subject, longest) for _, subject, _ in bars)]))
    axes.set_xlabel("seconds per epoch (50000 training images, then the test set)")
    _phase_legend(axes, view.phases)
    return figure


def gap(view: View) -> Figure:
    """The headline gap by phase, as a waterfall from the faster epoch to the slower one."""
    headline = view.gaps[0]
    figure, axes = _figure(view, _gap_finding(headline), height=4.6)
    columns = _waterfall(headline)
    level = headline.fast_seconds
    highest = max(level + sum(part.value for _, _, part in columns[:n]) for n in range(len(columns) + 1))
    names = [f"{headline.fast.title}"]
    axes.bar(0, level, 0.7, color=theme.GRID, edgecolor=theme.MUTED)
    axes.text(0, level, theme.seconds(level), ha="center", va="bottom")
    for x, (name, colour, part) in enumerate(columns, start=1):
        axes.bar(x, part.value, 0.7, bottom=level, color=colour, edgecolor=theme.INK, linewidth=0.5)
        level += part.value
        top = min(max(level, level - part.value, _whisker(axes, x, level, part)), highest * 1.05)
        sign = "+" if part.value >= 0 else ""
        axes.annotate(
            f"{sign}{theme.seconds(part.value)}", (x, top), (0, 3),
            textcoords="offset points", ha="center", va="bottom", fontsize=8.5,
        )  # fmt: skip
        names.append(name)
    axes.bar(len(columns) + 1, level, 0.7, color=theme.GRID, edgecolor=theme.MUTED)
    axes.text(len(columns) + 1, level, theme.seconds(level), ha="center", va="bottom")
    names.append(headline.slow.title)
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n", 1) for name in names], fontsize=8.5)
    axes.set_ylabel("seconds per epoch")
    axes.set_ylim(0, highest * 1.18)
    return figure


def accuracy(view: View) -> Figure:
    """The article's two curves: every batch's loss, and train and test loss per epoch."""
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    batches, epochs = figure.subplots(2, 1)
    _dress(figure, view, "Loss of the very runs that were timed")
    for subject, colour in zip(view.subjects, theme.SUBJECT_COLOURS * 9, strict=False):
        run = subject.first
        batches.plot(np.arange(1, len(run.train) + 1), run.train.loss, color=colour, lw=1.2, label=subject.title)
        x = [e.epoch + 1 for e in run.epochs]
        train, test = [e.train_loss for e in run.epochs], [e.test_loss for e in run.epochs]
        epochs.plot(x, train, ls="-", marker="o", ms=5, color=colour, label=f"{subject.title}, train")
        epochs.plot(x, test, ls="--", marker="o", ms=5, mfc="none", color=colour, label=f"{subject.title}, test")
    _label_losses(batches, "training step", view.subjects)
    _label_losses(epochs, "epoch", view.subjects)
    last = max([len(subject.first.epochs) for subject in view.subjects] + [1])
    epochs.set_xlim(0.5, last + 0.5)
    epochs.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if not accuracy_is_comparable(view.subjects):
        for axes in (batches, epochs):
            axes.set_title("not enough steps to compare accuracy", loc="right", fontsize=9, color=theme.MUTED)
    return figure


def layers(view: View) -> Figure:
    """A heat map: milliseconds per step of every layer, a row for each framework and direction."""
    subjects = [s for s in view.subjects if s.id in view.layers]
    names = [layer.name for layer in next(iter(view.layers.values())).architecture]
    rows, labels = [], []
    for direction in Direction:
        for subject in subjects:
            found = view.layers[subject.id].layers(direction)
            if found:
                rows.append([1000 * found[name] if found.get(name) else np.nan for name in names])
                labels.append(f"{subject.title}, {direction}")
    figure = Figure(figsize=(WIDTH, 2.6 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    _dress(figure, view, _layers_finding(view))
    values = np.array(rows)
    scale = LogNorm(max(1e-3, float(np.nanpercentile(values, 5))), float(np.nanmax(values)))
    image = axes.imshow(values, aspect="auto", cmap="viridis", norm=scale, interpolation="nearest")
    marked = [i for i, name in enumerate(names) if "conv" in name or name == "fc"]
    shown = [names[i].replace("downsample.conv", "shortcut") for i in marked]
    axes.set_xticks(marked, shown, rotation=90, fontsize=7)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    ticks = FuncFormatter(lambda value, _: f"{value:g}")
    figure.colorbar(image, ax=axes, label="ms per step, logarithmic", pad=0.01, format=ticks)
    return figure


def flame(found: Stacks, name: str) -> Figure:
    """A flame graph: phases at the bottom, callees above callers, widths in samples."""
    title = f"{name}: {sum(found.samples.values())} samples at {found.rate} Hz"

    def look(box: Box) -> tuple[str, float]:
        return theme.PHASE_COLOURS[Phase(box.path[0][0])], 1.0 if box.depth == 0 else 0.45 + 0.1 * (box.depth % 3)

    return _flame(found, title, "samples; the bottom row is the phase", look)


def flame_difference(slow: Stacks, fast: Stacks, title: str) -> Figure:
    """The slow side's flame graph, red by the share of a rectangle's seconds per step that the fast side lacks.

    A call that the fast side never makes is all red; blue is what the fast side spends more on.
    """
    seconds, others = slow.seconds_by_path(), fast.seconds_by_path()

    def look(box: Box) -> tuple[str, float]:
        more = 1 - others.get(box.path, 0.0) / seconds[box.path]
        return (theme.MORE if more >= 0 else theme.LESS), 0.1 + 0.8 * min(1.0, abs(more))

    label = "samples of the slower; redder: more of it is missing in the faster, per step"
    return _flame(slow, title, label, look)


def _flame(found: Stacks, title: str, label: str, look: Callable[[Box], tuple[str, float]]) -> Figure:
    whole = sum(found.samples.values())
    rows = [b for b in boxes(found, list(Phase)) if b.depth <= DEEPEST and b.samples >= LEAST_BOX * whole]
    figure = Figure(figsize=(WIDTH * 1.6, 1.4 + 0.2 * max(box.depth for box in rows)), layout="constrained")
    axes = figure.subplots()
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    for box in rows:
        colour, alpha = look(box)
        axes.barh(box.depth, box.samples, 0.95, left=box.start, color=colour, alpha=alpha, ec=theme.PAPER, lw=0.3)
        letters = int(box.samples / whole * 190)
        if letters > 3:
            text = f" {str(box.frame)[:letters]}"
            axes.text(box.start, box.depth, text, va="center", fontsize=5.5, color=theme.INK, clip_on=True)
    axes.set_xlim(0, whole)
    axes.set_yticks([])
    axes.set_xlabel(label)
    return figure


def svg(figure: Figure) -> str:
    """The figure as SVG, the same text for the same figure."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "epoch-gap", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _label_losses(axes: Axes, x: str, subjects: Sequence[Subject]) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel("cross-entropy loss")
    axes.set_ylim(bottom=0)
    axes.grid(color=theme.GRID)
    if any(len(s.first.train) for s in subjects):
        axes.legend(frameon=False, fontsize=8.5)


def _bars(subjects: Sequence[Subject]) -> Iterator[tuple[str, Subject, str]]:
    """(label, subject in one ledger, hatch): where time was charged and, from fenced steps, where work was done."""
    for subject in subjects:
        shift = perturbation(subject)
        if subject.fenced is None or shift is None:
            yield subject.title, subject, ""
            continue
        yield f"{subject.title}\nas charged", subject, ""
        yield DONE, subject.fenced, "" if is_harmless(shift) else "//"


def _flags(view: View, subject: Subject) -> str:
    """What stands under a total whose run was flagged."""
    return "".join(f"\n   \N{WARNING SIGN} {name}" for name in flag_names(view, subject))


def _stack(axes: Axes, row: int, subject: Subject, longest: float, hatch: str, flags: str) -> None:
    left = 0.0
    for phase, part in subject.epoch.phases.items():
        if part is None:
            continue
        colour = theme.PHASE_COLOURS[phase]
        axes.barh(row, part.value, 0.55, left=left, color=colour, edgecolor=theme.PAPER, linewidth=0.4, hatch=hatch)
        if part.value >= LABEL_FROM * longest:
            label = f"{phase}\n{theme.percent(part.value / subject.epoch.total.value)}"
            middle = left + part.value / 2
            axes.text(middle, row, label, ha="center", va="center", color=theme.ink_on(colour), fontsize=7.5)
        left += part.value
    interval = subject.epoch.total.interval(least=0.0)
    if interval.low is not None and interval.high is not None:
        spread = [[interval.value - interval.low], [interval.high - interval.value]]
        axes.errorbar(interval.value, row, xerr=spread, color=theme.INK, capsize=3, lw=1)
    axes.text(
        _end(subject, longest),
        row,
        f"  {theme.seconds(left)}, {how_known(subject)}{flags}",
        va="center",
        weight="bold",
    )


def _end(subject: Subject, longest: float) -> float:
    """Where the bar's interval ends, or the picture does."""
    interval = subject.epoch.total.interval(least=0.0)
    return min(interval.high or interval.value, longest * REACH)


def _waterfall(headline: Gap) -> list[tuple[str, str, Estimate]]:
    """(name, colour, difference) per column; small differences together, so that the columns sum to the gap."""
    least = GAP_FROM * headline.slow.epoch.total.value
    large = [(p, e) for p, e in headline.by_phase.items() if abs(e.value) >= least]
    small = [e for _, e in headline.by_phase.items() if abs(e.value) < least]
    columns = [(str(p), theme.PHASE_COLOURS[p], e) for p, e in sorted(large, key=lambda item: -item[1].value)]
    if small:
        rest = Estimate(sum(e.value for e in small), 0.0, 0.0)
        columns.append((f"{len(small)} smaller phases", theme.PHASE_COLOURS[Phase.OTHER], rest))
    return columns


def _whisker(axes: Axes, x: float, top: float, part: Estimate) -> float:
    """Draw the part's interval about `top`; the height that it reaches."""
    interval = part.interval()
    if interval.low is None or interval.high is None:
        return top
    spread = [[interval.value - interval.low], [interval.high - interval.value]]
    axes.errorbar(x, top, yerr=spread, color=theme.INK, capsize=3, lw=1)
    return top + interval.high - interval.value


def _finding(view: View) -> str:
    """What the stacked bars show, in one line."""
    if not view.gaps or view.gaps[0].verdict != "slower":
        return "Where an epoch goes"
    headline = view.gaps[0]
    return f"{headline.slow.title}: {theme.times(headline.ratio.value)} times the epoch of {headline.fast.title}"


def _gap_finding(headline: Gap) -> str:
    """What the waterfall shows, in one line."""
    seconds = theme.seconds(headline.seconds.value)
    if headline.verdict != "slower":
        return f"{headline.slow.title} minus {headline.fast.title}: {seconds} per epoch"
    phase, part = largest(headline)[0]
    share = f"{part.value / headline.seconds.value:.0%}".replace("%", " %")
    return f"{share} of the {seconds} that {headline.slow.title} takes longer is charged to {phase}"


def _layers_finding(view: View) -> str:
    """The layer that makes most of the gap, in one line."""
    if both := view.of_headline(view.layers):
        most = differences(*both)[0]
        more = theme.milliseconds(most.seconds)
        return f"{view.gaps[0].slow.title} loses most in {most.layer}, {most.direction}: {more} per step"
    return "Where forward and backward go, layer by layer"


def _phase_legend(axes: Axes, phases: Sequence[Phase]) -> None:
    handles = [Patch(color=theme.PHASE_COLOURS[phase], label=phase) for phase in phases]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False, fontsize=8)


def _figure(view: View, title: str, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    _dress(figure, view, title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _dress(figure: Figure, view: View, title: str) -> None:
    data = " [synthetic data]" if view.synthetic else ""
    figure.suptitle(f"{title}{data}", x=0.01, ha="left", weight="bold", fontsize=12)
    figure.supxlabel(view.source, x=0.01, ha="left", fontsize=6.5, color=theme.MUTED)

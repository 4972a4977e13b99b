"""The pictures of a distributed training: who works and who waits, and all ranks' steps on one axis."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.epoch import NS
from epoch_gap.profiler.distributed.communication import COMMUNICATION, TRANSFER, WAIT
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import StepTable
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.export.perfetto import ORDER
from epoch_gap.reports.ranks import RanksView

MOST_BARS = 16
"""ranks whose bars are drawn; the heat map has all"""
SHOWN_STEPS = 3
"""consecutive steps on the time axis"""
MOST_CELLS = 400
"""columns of the map of lateness: more steps are drawn as means of neighbours"""
NUMBERED = 160
"""cells of the heat map up to which their values are written"""

Box = tuple[float, float, float, str]
"""start and length in seconds, row, colour"""


@canvas.styled
def ranks_figure(view: RanksView) -> Figure:
    """Seconds per step by rank and phase, what is unusual about each rank, and the collectives."""
    bars = min(len(view.ranks), MOST_BARS)
    heights = [0.9 + 0.24 * bars, 1.2 + min(0.24 * len(view.ranks), 6.0)]
    has_collectives = view.analysis.arrivals is not None
    if has_collectives:
        heights.append(1.8)
    figure = Figure(figsize=(canvas.WIDTH, canvas.EDGES + sum(heights) + 0.3), layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    _draw_bars(panels[0], view)
    _draw_heat(figure, panels[1], view)
    if has_collectives:
        _draw_collectives(panels[2], view)
    canvas.add_title(figure, view.headline)
    canvas.add_source(figure, view.source)
    return figure


def _draw_bars(axes: Axes, view: RanksView) -> None:
    """One bar per rank: its own work, then the group of communication, hatched."""
    places = view.listed[:MOST_BARS]
    names = [f"rank {view.ranks[place]}" for place in places]
    left = np.zeros(len(places))
    for phase, seconds in view.by_phase.items():
        values = seconds[places] * 1e3
        hatch = "///" if phase in COMMUNICATION else None
        axes.barh(
            names, values, left=left, color=theme.phase_colour(phase), hatch=hatch, edgecolor=theme.PAPER, lw=0.3
        )
        left += values
    axes.invert_yaxis()
    axes.set_xlabel("ms per step; hatched: communication that is not hidden behind the rank's own work")
    axes.grid(axis="x", linewidth=0.5)
    canvas.phase_legend(axes, _visible_phases(view))


def _visible_phases(view: RanksView) -> list[Phase]:
    """The phases that are wide enough to be seen in some rank's bar."""
    longest = max(np.sum([*view.by_phase.values()], axis=0))
    return [phase for phase, seconds in view.by_phase.items() if seconds.max() >= canvas.VISIBLE_FROM * longest]


def _draw_heat(figure: Figure, axes: Axes, view: RanksView) -> None:
    """Rank x phase: ms per step more or less than the mean of all ranks, of the phases that the bars show."""
    phases = _visible_phases(view)
    cells = np.stack([view.by_phase[phase] for phase in phases], axis=1) * 1e3
    cells = cells - cells.mean(axis=0)
    limit = float(np.abs(cells).max()) or 1.0
    image = axes.imshow(cells, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    axes.set_xticks(range(len(phases)), [str(phase) for phase in phases], rotation=30, ha="right")
    step = -(-len(view.ranks) // 32)
    axes.set_yticks(range(0, len(view.ranks), step), [f"rank {rank}" for rank in view.ranks[::step]])
    if cells.size <= NUMBERED:
        for (row, column), value in np.ndenumerate(cells):
            colour = theme.PAPER if abs(value) > 0.6 * limit else theme.ON_COLOUR
            axes.text(column, row, f"{value:+.1f}", ha="center", va="center", fontsize=canvas.SMALL, color=colour)
    figure.colorbar(image, ax=axes, label="ms from the mean")


def _draw_collectives(axes: Axes, view: RanksView) -> None:
    arrivals = view.analysis.arrivals
    assert arrivals is not None
    names = [f"{i} {p.kind}\n{p.bytes / 1e6:.1f} MB" for i, p in enumerate(arrivals.points, start=1)]
    waits = np.array([times.wait for times in view.analysis.buckets]) * 1e3
    transfers = np.array([times.transfer for times in view.analysis.buckets]) * 1e3
    axes.bar(range(len(names)), waits, color=theme.phase_colour(WAIT), label="wait, mean of the ranks")
    label = "transfer, the least of the ranks"
    axes.bar(range(len(names)), transfers, bottom=waits, color=theme.phase_colour(TRANSFER), label=label)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("ms per step,\nhidden or not")
    axes.grid(axis="y", linewidth=0.5)
    canvas.legend_above(axes, axes.get_legend_handles_labels()[0])


@canvas.styled
def timeline_figure(view: RanksView) -> Figure | None:
    """A few steps of all ranks on one clock, and how late each rank was in every step; None without arrivals."""
    arrivals = view.analysis.arrivals
    if arrivals is None:
        return None
    rows = min(0.24 * len(view.ranks), 5.0)
    heights = [1.2 + rows, 1.2 + rows]
    figure = Figure(figsize=(canvas.WIDTH, canvas.EDGES + sum(heights) + 0.3), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=heights)
    first = _shown_step(view)
    _draw_steps(upper, view, first)
    _draw_lateness(figure, lower, view)
    number = int(arrivals.steps[first] % 2**32)
    canvas.add_title(figure, f"{SHOWN_STEPS} steps of all ranks on one clock, from step {number}, of median length")
    canvas.add_source(figure, view.source)
    return figure


def _shown_step(view: RanksView) -> int:
    """The place of the step whose neighbours are shown: the one whose time is nearest to the median."""
    walls = np.mean([steps.wall_ns for steps in view.analysis.steps], axis=0)
    candidates = walls[: max(1, len(walls) - SHOWN_STEPS + 1)]
    return int(np.abs(candidates - np.median(walls)).argmin())


def _draw_steps(axes: Axes, view: RanksView, first: int) -> None:
    arrivals = view.analysis.arrivals
    assert arrivals is not None
    boxes: list[Box] = []
    begin = min(
        int(run.start_ns[first] - arrivals.offset_ns[place, first]) for place, run in enumerate(view.analysis.steps)
    )
    for place, steps in enumerate(view.analysis.steps):
        for step in range(first, min(first + SHOWN_STEPS, len(arrivals.steps))):
            boxes += _boxes_of_step(view, steps, place, step, begin)
    corners = [[(x, y - 0.4), (x + w, y - 0.4), (x + w, y + 0.4), (x, y + 0.4)] for x, w, y, _ in boxes]
    axes.add_collection(PolyCollection(corners, facecolors=[box[3] for box in boxes], linewidths=0))
    axes.set_xlim(0, max(x + w for x, w, _, _ in boxes))
    axes.set_ylim(len(view.ranks) - 0.4, -0.6)
    each = -(-len(view.ranks) // 32)
    axes.set_yticks(range(0, len(view.ranks), each), [f"rank {rank}" for rank in view.ranks[::each]])
    axes.set_xlabel("ms on the first rank's clock")
    canvas.phase_legend(axes, _visible_phases(view))


def _boxes_of_step(view: RanksView, steps: StepTable, place: int, step: int, begin: int) -> list[Box]:
    """The phases of a step in the order of the loop, with waits and transfers over those that contain them."""
    arrivals, boxes = view.analysis.arrivals, []
    assert arrivals is not None
    offset = int(arrivals.offset_ns[place, step])
    at = int(steps.start_ns[step]) - offset - begin
    for phase in loop_order(steps):
        ns = int(steps.phase_ns[phase][step])
        boxes.append((at * 1e-6, ns * 1e-6, float(place), theme.phase_colour(phase)))
        at += ns
    for phase, times in view.analysis.exposed.items():
        ready = int(arrivals.ready_ns[place, step, arrivals.last_of(phase)]) - begin
        for part, values in times.parts.items():
            ns = int(values[place, step])
            boxes.append((ready * 1e-6, ns * 1e-6, float(place), theme.phase_colour(part)))
            ready += ns
    return boxes


def loop_order(steps: StepTable) -> list[Phase]:
    """The phases of a step in the order of the loop; a custom loop's own follow."""
    known = [phase for phase in ORDER if phase in steps.phase_ns]
    return [*known, *(phase for phase in steps.phase_ns if phase not in known)]


def _draw_lateness(figure: Figure, axes: Axes, view: RanksView) -> None:
    """Rank x step: how much later than the first rank each arrived where ranks wait, all such places together."""
    lateness = [times.lateness for times in view.analysis.exposed.values()]
    late = np.sum([earlier.max(axis=0) - earlier for earlier in lateness], axis=0) * NS * 1e3
    cells = _thinned(np.asarray(late, np.float64))
    span = (-0.5, late.shape[1] - 0.5, len(view.ranks) - 0.5, -0.5)
    image = axes.imshow(cells, cmap="magma_r", aspect="auto", interpolation="nearest", extent=span, vmin=0)
    each = -(-len(view.ranks) // 32)
    axes.set_yticks(range(0, len(view.ranks), each), [f"rank {rank}" for rank in view.ranks[::each]])
    axes.set_xlabel("steady steps, in order")
    figure.colorbar(image, ax=axes, label="ms after the first rank,\nin all phases that wait")


def _thinned(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most `MOST_CELLS` columns: means of neighbours."""
    each = -(-cells.shape[1] // MOST_CELLS)
    starts = np.arange(0, cells.shape[1], each)
    sums = np.add.reduceat(cells, starts, axis=1)
    return np.asarray(sums / np.diff([*starts, cells.shape[1]]), np.float64)

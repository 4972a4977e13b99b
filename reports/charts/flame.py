"""Flame graphs of sampled stacks: each framework's own, and what the slower one has more of."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from matplotlib.figure import Figure

from epoch_gap.profiler.drilldown.stacks import Box, Stacks, boxes
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.live import PAPER, Live, layout, plain
from epoch_gap.reports.view import View

DEEPEST = 40
LEAST_BOX = 0.002
"""narrower rectangles are not drawn, of all samples; deeper ones neither"""
LETTERS = 150
"""that fit across the picture"""
Path = tuple[tuple[str, str], ...]
"""(function, file) from the phase to a rectangle"""


@dataclass(frozen=True)
class Flame:
    """A flame graph: which stacks, and how each rectangle is coloured."""

    title: str
    label: str
    """what widths and colours mean"""
    stacks: Stacks
    look: Callable[[Box], tuple[str, float]]
    """colour and its strength, 0 to 1"""

    @property
    def whole(self) -> int:
        """All samples."""
        return sum(self.stacks.samples.values())

    def boxes(self) -> list[Box]:
        """The rectangles that are drawn."""
        drawn = boxes(self.stacks, list(Phase))
        return [box for box in drawn if box.depth <= DEEPEST and box.samples >= LEAST_BOX * self.whole]


def flames(view: View) -> list[Flame]:
    """Of each subject with stacks, and of the headline pair's difference."""
    found = [of_one(view.stacks[s.id], s.title) for s in view.subjects if s.id in view.stacks]
    if both := view.of_headline(view.stacks):
        title = f"{view.gaps[0].slow.title} minus {view.gaps[0].fast.title}, per step"
        found.append(difference(*both, title))
    return found


def of_one(found: Stacks, name: str) -> Flame:
    """Phases first, callees beyond their callers, widths in samples."""
    title = f"{name}: {sum(found.samples.values())} samples at {found.rate} Hz"

    def look(box: Box) -> tuple[str, float]:
        return theme.PHASE_COLOURS[Phase(box.path[0][0])], 1.0 if box.depth == 0 else 0.45 + 0.1 * (box.depth % 3)

    return Flame(title, "widths in samples, the first row is the phase", found, look)


def difference(slow: Stacks, fast: Stacks, title: str) -> Flame:
    """The slow side's flame graph, red by the share of a rectangle's seconds per step that the fast side lacks.

    A call that the fast side never makes is all red; blue is what the fast side spends more on.
    """
    seconds, others = slow.seconds_by_path(), fast.seconds_by_path()

    def look(box: Box) -> tuple[str, float]:
        more = 1 - others.get(box.path, 0.0) / seconds[box.path]
        return (theme.MORE if more >= 0 else theme.LESS), 0.1 + 0.8 * min(1.0, abs(more))

    return Flame(title, "widths in samples of the slower; the redder, the more of it the faster lacks", slow, look)


def static(flame: Flame) -> Figure:
    """The flame graph by matplotlib, the phases at the bottom."""
    rows = flame.boxes()
    figure = Figure(figsize=(canvas.WIDTH * 1.3, 1.4 + 0.2 * max(box.depth for box in rows)), layout="constrained")
    axes = figure.subplots()
    figure.suptitle(flame.title, x=0.01, ha="left", fontsize=10)
    for box in rows:
        axes.barh(
            box.depth, box.samples, 0.95, left=box.start, color=_mixed(*flame.look(box)), ec=theme.PAPER, lw=0.3
        )
        letters = int(box.samples / flame.whole * LETTERS)
        if letters > 3:
            words = f" {str(box.frame)[:letters]}"
            axes.text(box.start, box.depth, words, va="center", fontsize=5.5, color=theme.ON_COLOUR, clip_on=True)
    axes.set_xlim(0, flame.whole)
    axes.set_yticks([])
    axes.set_xlabel(flame.label)
    return figure


def _mixed(colour: str, strength: float) -> str:
    """`colour` on white: its `strength`, 0 to 1, decides how much of it."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - part) * strength):02x}" for part in parts)


def live(flame: Flame) -> Live:
    """The flame graph by Plotly, the phases at the top: a click zooms into a function, its lines together."""
    kept = {box.path: box for box in replace(flame, stacks=flame.stacks.without_lines()).boxes()}
    ids: dict[Path, str] = {path: str(i) for i, path in enumerate(kept)} | {(): "all"}
    chart = {
        "type": "icicle", "branchvalues": "total", "tiling": {"orientation": "v"},
        "ids": ["all", *(ids[path] for path in kept)],
        "parents": ["", *(ids[path[:-1]] for path in kept)],
        "labels": ["all", *(plain(box.frame.function) for box in kept.values())],
        "values": [flame.whole, *(box.samples for box in kept.values())],
        "text": ["", *(plain(box.frame.file.rpartition("site-packages/")[2]) for box in kept.values())],
        "marker": {"colors": ["#9aa4ae", *(_mixed(*flame.look(box)) for box in kept.values())],
                   "line": {"width": 0.5, "color": PAPER}},
        "textinfo": "label", "insidetextfont": {"color": theme.ON_COLOUR}, "sort": False,
        "hovertemplate": "<b>%{label}</b> %{text}<br>%{value} samples, %{percentRoot:.1%}<extra></extra>",
    }  # fmt: skip
    deepest = max(box.depth for box in kept.values())
    return Live(
        {
            "": {
                "data": [chart],
                "layout": layout(120 + 18 * (deepest + 1), uniformtext={"minsize": 8, "mode": "hide"}),
            }
        }
    )

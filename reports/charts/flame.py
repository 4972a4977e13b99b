"""Flame graphs of sampled stacks: one per framework, and the excess of the slower one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epoch_gap.profiler.drilldown.stacks import Box, Stacks, boxes
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.live import PAPER, Live, escaped, layout
from epoch_gap.reports.view import View

DEEPEST = 40
LEAST_BOX = 0.002
"""Rectangles that are narrower than this share of all samples are not drawn, nor are deeper ones."""
ROW, EDGES = 0.17, 0.95
"""inches per row, and for title and axis"""
FONT, LETTERS = 6.5, 140
"""points, and characters of that size across the picture"""
LEAST_LETTERS = 4
"""Fewer letters do not identify a function."""
Path = tuple[tuple[str, str], ...]
"""(function, file) from the phase to a rectangle"""


@dataclass(frozen=True)
class Flame:
    """A flame graph: its stacks, and the colour of each rectangle."""

    title: str
    label: str
    """the meaning of widths and colours"""
    stacks: Stacks
    look: Callable[[Box], tuple[str, float]]
    """colour and its strength, 0 to 1"""

    @property
    def whole(self) -> int:
        """All samples."""
        return sum(self.stacks.samples.values())

    def boxes(self) -> list[Box]:
        """The rectangles to draw."""
        return [box for box in boxes(self.stacks, list(Phase), DEEPEST) if box.samples >= LEAST_BOX * self.whole]


def flames(view: View) -> list[Flame]:
    """One per subject with stacks, and one for the difference of the headline pair."""
    graphs = [
        stacks_flame(view.drilldowns.stacks[s.id], s.title) for s in view.subjects if s.id in view.drilldowns.stacks
    ]
    if both := view.for_headline(view.drilldowns.stacks):
        slow, fast = (s.title for s in (view.gaps[0].slow, view.gaps[0].fast))
        graphs.append(difference(*both, f"{slow} minus {fast}, per step"))
    return graphs


def stacks_flame(stacks: Stacks, name: str) -> Flame:
    """The phase first, callees beyond their callers, widths in samples."""
    title = f"{name}: {sum(stacks.samples.values())} samples at {stacks.rate} Hz"

    def look(box: Box) -> tuple[str, float]:
        return theme.phase_colour(Phase(box.path[0][0])), 1.0 if box.depth == 0 else 0.45 + 0.1 * (box.depth % 3)

    return Flame(title, "widths in samples, the first row is the phase", stacks, look)


def difference(slow: Stacks, fast: Stacks, title: str) -> Flame:
    """The slower side's flame graph; red is the share of a rectangle's time that the faster side does not spend.

    A call that the faster side never makes is all red; blue is a call on which the faster side spends more.
    """
    seconds, others = slow.seconds_by_path(DEEPEST), fast.seconds_by_path(DEEPEST)

    def look(box: Box) -> tuple[str, float]:
        more = 1 - others.get(box.path, 0.0) / seconds[box.path]
        return (theme.MORE if more >= 0 else theme.LESS), 0.1 + 0.8 * min(1.0, abs(more))

    label = "widths in samples of the slower side; the redder, the more of it the faster side does not spend"
    return Flame(title, label, slow, look)


@canvas.styled
def static(flame: Flame) -> Figure:
    """The flame graph by matplotlib, with the phases at the bottom."""
    drawn = flame.boxes()
    rows = 1 + max(box.depth for box in drawn)
    figure = Figure(figsize=(canvas.WIDTH, EDGES + ROW * rows), layout="constrained")
    axes = figure.subplots()
    canvas.add_title(figure, flame.title)
    for box in drawn:
        colour = _mixed(*flame.look(box))
        axes.barh(box.depth, box.samples, 0.95, left=box.start, color=colour, edgecolor=theme.PAPER, linewidth=0.3)
        _write_function(axes, box, flame.whole)
    axes.set_xlim(0, flame.whole)
    axes.set_ylim(-0.6, rows - 0.4)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(flame.label)
    return figure


def _write_function(axes: Axes, box: Box, whole: int) -> None:
    """The function with its file if both fit, or as much of the function as fits."""
    room = int(box.samples / whole * LETTERS) - 1
    text = str(box.frame) if len(str(box.frame)) <= room else box.frame.function
    if len(text) > room >= LEAST_LETTERS:
        text = f"{text[: room - 1]}\N{HORIZONTAL ELLIPSIS}"
    if len(text) <= room:
        axes.text(
            box.start + 0.003 * whole,
            box.depth,
            text,
            va="center_baseline",
            fontsize=FONT,
            color=theme.ON_COLOUR,
            clip_on=True,
        )


def _mixed(colour: str, strength: float) -> str:
    """`colour` mixed with white; `strength`, 0 to 1, is the share of the colour."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - (255 - part) * strength):02x}" for part in parts)


def live(flame: Flame) -> Live:
    """The flame graph by Plotly, with the phases at the top: a click zooms into a function, its lines together."""
    by_path = {box.path: box for box in replace(flame, stacks=flame.stacks.without_lines()).boxes()}
    ids: dict[Path, str] = {path: str(i) for i, path in enumerate(by_path)} | {(): "all"}
    chart = {
        "type": "icicle",
        "branchvalues": "total",
        "tiling": {"orientation": "v"},
        "ids": ["all", *(ids[path] for path in by_path)],
        "parents": ["", *(ids[path[:-1]] for path in by_path)],
        "labels": ["all", *(escaped(box.frame.function) for box in by_path.values())],
        "values": [flame.whole, *(box.samples for box in by_path.values())],
        "text": ["", *(escaped(box.frame.file.rpartition("site-packages/")[2]) for box in by_path.values())],
        "marker": {
            "colors": ["#9aa4ae", *(_mixed(*flame.look(box)) for box in by_path.values())],
            "line": {"width": 0.5, "color": PAPER},
        },
        "textinfo": "label",
        "insidetextfont": {"color": theme.ON_COLOUR},
        "sort": False,
        "hovertemplate": "<b>%{label}</b> %{text}<br>%{value} samples, %{percentRoot:.1%}<extra></extra>",
    }
    deepest = max(box.depth for box in by_path.values())
    made = layout(120 + 18 * (deepest + 1), uniformtext={"minsize": 8, "mode": "hide"})
    return Live({"": {"data": [chart], "layout": made}})

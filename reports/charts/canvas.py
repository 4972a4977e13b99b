"""Matplotlib figures, dressed alike, and their bytes: PNG for slides, SVG for the page."""

import io
import textwrap
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import theme
from epoch_gap.reports.charts.live import reach
from epoch_gap.reports.view import View

matplotlib.rcParams["text.parse_math"] = False  # a label may hold any text, dollars too
matplotlib.rcParams["text.color"] = matplotlib.rcParams["axes.labelcolor"] = theme.INK
matplotlib.rcParams["axes.edgecolor"] = matplotlib.rcParams["xtick.color"] = theme.INK
matplotlib.rcParams["ytick.color"] = theme.INK
matplotlib.rcParams["xtick.labelsize"] = matplotlib.rcParams["ytick.labelsize"] = 8
matplotlib.rcParams["hatch.linewidth"] = 0.5
matplotlib.rcParams["axes.axisbelow"] = True
WIDTH, DPI = 8.0, 200
"""inches, and pixels of each: 10 points are 14 pixels where a picture is shown 800 wide"""
SMALL, SOURCE_SIZE = 8.0, 6.5
"""points"""
SOURCE_LETTERS = 150
"""of the source line, before it is broken"""


def figure(view: View, title: str, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `rows` axes under each other, with its finding above and its source below."""
    made = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = list(made.subplots(rows, 1, squeeze=False)[:, 0])
    dress(made, view.source, f"{title}{' [synthetic data]' if view.synthetic else ''}")
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return made, axes


def dress(made: Figure, source: str, title: str) -> None:
    """Put the finding above the picture, and where it comes from below."""
    made.suptitle(textwrap.fill(title, 84), x=0.01, ha="left", weight="bold", fontsize=12)
    below = textwrap.fill(source, SOURCE_LETTERS)
    made.supxlabel(below, x=0.01, ha="left", fontsize=SOURCE_SIZE, color=theme.MUTED)


def phase_legend(axes: Axes, phases: Sequence[Phase]) -> None:
    """The phases' colours, above the picture."""
    handles = [Patch(color=theme.PHASE_COLOURS[phase], label=phase) for phase in phases]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=6, frameon=False, fontsize=SMALL)


def whisker(interval: Interval) -> list[list[float]] | None:
    """How far the interval reaches below and above its value, as matplotlib takes it; None where it is unknown."""
    return None if (found := reach(interval)) is None else [[side] for side in found]


def png(made: Figure) -> bytes:
    """The figure as PNG, the same bytes for the same figure."""
    FigureCanvasAgg(made)
    buffer = io.BytesIO()
    made.savefig(buffer, format="png", dpi=DPI, facecolor=theme.PAPER, metadata={"Software": None})
    return buffer.getvalue()


def svg(made: Figure) -> str:
    """The figure as SVG, the same text for the same figure; it follows the reader's light or dark scheme."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "epoch-gap"}):
        made.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None, "Creator": None})
    return buffer.getvalue().replace("<defs>", f"<style>{_DARK}</style>\n <defs>", 1)


def _dark(property: str, light: str, dark: str) -> str:
    return f'[style*="{property}: {light}"]{{{property}:{dark}!important}}'


_RULES = "".join(
    _dark(property, light, dark) for light, dark in theme.DARK.items() for property in ("fill", "stroke")
)
_DARK = f"@media (prefers-color-scheme:dark){{{_RULES}}}"

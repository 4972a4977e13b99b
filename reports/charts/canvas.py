"""Matplotlib figures in one style, and their bytes: PNG for slides, SVG for the page."""

import io
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from itertools import cycle
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Patch
from matplotlib.transforms import Bbox

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import theme
from epoch_gap.reports.charts.live import whisker_lengths
from epoch_gap.reports.view import View

WIDTH, DPI = 8.0, 200
"""Inches, and pixels per inch: 10 points are 14 pixels high in a picture shown 800 pixels wide."""
SMALL, SOURCE_SIZE = 8.0, 6.5
"""points"""
TITLE_LETTERS, SOURCE_LETTERS = 76, 150
"""characters per line of the title and of the source"""
EDGES = 0.75
"""inches for the title and the source line"""
VISIBLE_FROM = 0.005
"""Share of the picture's width, 4 pixels of 800: the legend leaves out a phase whose segments are all narrower."""
LEGEND_LETTERS, KEY_LETTERS = 124, 5
"""characters that fit in a row of a legend, and the room of a key with the space after its label"""
UNBROKEN_LETTERS = 30
"""Longer names may be broken in a title."""
SYNTHETIC = "[synthetic data]"
POSITION_DIGITS = 6
"""of the figure's width and height: far less than a pixel"""
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
FALLBACK_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Noto Sans", "Noto Sans Symbols2"),
)
"""fonts of other scripts, the first that has a character draws it"""
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a label may hold any text, dollars too
    "text.color": theme.INK,
    "axes.labelcolor": theme.INK,
    "axes.edgecolor": theme.INK,
    "axes.labelsize": SMALL,
    "axes.axisbelow": True,
    "axes.facecolor": "none",  # an SVG has the colour of the page
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": theme.INK,
    "ytick.color": theme.INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "grid.color": theme.GRID,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "svg.hashsalt": "epoch-gap",
}


@contextmanager
def _style() -> Iterator[None]:
    """The pictures' settings, for the duration of the block: they are read while a figure is made and while saved."""
    with matplotlib.rc_context({**STYLE, "font.family": _font_families()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)  # it is drawn as a box
        yield


@cache
def _font_families() -> list[str]:
    """The pictures' font, then those installed fonts that have the characters which it lacks."""
    installed = set(font_manager.get_font_names())
    return [STYLE["font.family"], *(name for name in FALLBACK_FONTS if name in installed)]


def styled[**P, R](draw: Callable[P, R]) -> Callable[P, R]:
    """Draw in the pictures' style, and leave matplotlib's global settings as they are."""

    @wraps(draw)
    def draw_in_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with _style():
            return draw(*args, **kwargs)

    return draw_in_style


def figure(view: View, title: str, heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """A figure with one panel per height (inches), one below the other; the finding above them, the source below."""
    figure = Figure(figsize=(WIDTH, EDGES + sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)
    synthetic = [SYNTHETIC] if view.is_synthetic else []
    add_title(figure, " ".join([title, *synthetic]), [*(subject.title for subject in view.subjects), *synthetic])
    add_source(figure, view.source)
    return figure, list(panels[:, 0])


def add_title(figure: Figure, title: str, unbroken: Iterable[str] = ()) -> None:
    """Put the finding above the picture; no line is broken inside a short name in `unbroken`."""
    for name in unbroken:
        if len(name) <= UNBROKEN_LETTERS:
            title = title.replace(name, name.replace(" ", NO_BREAK_SPACE))
    wrapped = textwrap.fill(title, TITLE_LETTERS, break_on_hyphens=False).replace(NO_BREAK_SPACE, " ")
    figure.suptitle(wrapped, x=0.01, ha="left", weight="bold", fontsize=12)


def add_source(figure: Figure, source: str) -> None:
    """Put data, machine, day and runs below the picture."""
    below = textwrap.fill(source, SOURCE_LETTERS)
    figure.supxlabel(below, x=0.01, ha="left", fontsize=SOURCE_SIZE, color=theme.MUTED)


def coloured_subjects(view: View) -> list[tuple[Subject, str, str]]:
    """Each subject with its title and the colour that it has in every chart."""
    return [(s, s.title, colour) for s, colour in zip(view.subjects, cycle(theme.SUBJECT_COLOURS), strict=False)]


def phase_legend(
    axes: Axes, phases: Sequence[Phase], hatched: Sequence[tuple[str, str]] = (), **placement: Any
) -> Legend:
    """The colours of `phases`, and `hatched` (name, pattern): by default in rows above the axes."""
    handles = [Patch(color=theme.phase_colour(phase), label=phase) for phase in phases]
    handles += [
        Patch(facecolor="none", edgecolor=theme.INK, linewidth=0.4, hatch=hatch, label=name)
        for name, hatch in hatched
    ]
    if placement:
        return axes.legend(handles=handles, handlelength=1.2, **placement)
    return legend_above(axes, handles)


def legend_above(axes: Axes, handles: Sequence[Artist]) -> Legend:
    """A legend above the axes whose entries read in rows from left to right."""
    columns = columns_that_fit([str(handle.get_label()) for handle in handles])
    return axes.legend(
        handles=by_rows(handles, columns),
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderpad=0,
        borderaxespad=0.3,
        handlelength=1.2,
        columnspacing=1.4,
    )


def columns_that_fit(labels: Sequence[str]) -> int:
    """The most columns in which the labels, row by row, are not wider than the picture; at least one."""
    for columns in range(len(labels), 1, -1):
        widths = [max(map(len, labels[column::columns])) + KEY_LETTERS for column in range(columns)]
        if sum(widths) <= LEGEND_LETTERS:
            return columns
    return 1


def by_rows[T](entries: Sequence[T], columns: int) -> list[T]:
    """Reorder entries for matplotlib, which fills a legend column by column, so that they read row by row."""
    return [entry for column in range(columns) for entry in entries[column::columns]]


def whisker(interval: Interval) -> list[list[float]] | None:
    """The lengths of a whisker below and above the value, as matplotlib takes them; None if unknown."""
    return None if (lengths := whisker_lengths(interval)) is None else [[length] for length in lengths]


@styled
def png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    _settle_layout(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor=theme.PAPER, metadata={"Software": None})
    return buffer.getvalue()


@styled
def svg(figure: Figure) -> str:
    """The figure as SVG; the same figure gives the same text. It follows the reader's light or dark scheme."""
    _settle_layout(figure)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", facecolor="none", metadata={"Date": None, "Creator": None})
    return buffer.getvalue().replace("<defs>", f"<style>{_DARK}</style>\n <defs>", 1)


def _settle_layout(figure: Figure) -> None:
    """Lay the figure out once, with rounded positions: the solver's last digits depend on Python's hash seed."""
    FigureCanvasAgg(figure)
    if (engine := figure.get_layout_engine()) is None:
        return
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        bounds = (round(length, POSITION_DIGITS) for length in axes.get_position(original=True).bounds)
        axes.set_position(Bbox.from_bounds(*bounds))


def _dark(property: str, light: str, dark: str) -> str:
    return f'[style*="{property}: {light}"]{{{property}:{dark}!important}}'


_RULES = "".join(
    _dark(property, light, dark) for light, dark in theme.DARK.items() for property in ("fill", "stroke")
)
_DARK = f"@media (prefers-color-scheme:dark){{{_RULES}}}"

"""Charts for a page with JavaScript, as data for Plotly; `templates/page.js` shows one variant at a time.

Python computes every number and every word of a chart: the page's script only chooses a variant and hides phases.
A colour such as `var(--ink)` is one of the page's own, light or dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from epoch_gap.profiler.analysis.stats import Interval

INK, MUTED, LINE, PAPER = "var(--ink)", "var(--muted)", "var(--line)", "var(--paper)"
Spec = dict[str, Any]
"""`data` and `layout` as Plotly takes them"""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True)
class Control:
    """One choice: its display name, and its options in order. The first is the default."""

    name: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Live:
    """A chart in all its variants, keyed by the chosen options joined with `|`."""

    variants: Mapping[str, Spec]
    controls: tuple[Control, ...] = ()
    switches: tuple[tuple[str, str], ...] = ()
    """(name, colour) of each part that can be hidden: all traces of that name in a variant"""

    def as_json(self) -> dict[str, Any]:
        """The chart for the page's script."""
        return asdict(self)


def combinations(controls: Sequence[Control]) -> list[tuple[str, ...]]:
    """Every combination of options."""
    return list(product(*(control.options for control in controls)))


def variant_name(chosen: Sequence[str]) -> str:
    """The name of the variant for the chosen options."""
    return "|".join(chosen)


def escaped(text: str) -> str:
    """Escape text for Plotly, which interprets labels as a subset of HTML."""
    return "".join(_ENTITIES.get(letter, letter) for letter in text)


def layout(height: int, **more: Any) -> Spec:
    """The layout that all charts share; `height` in pixels."""
    return {
        "height": height,
        "margin": {"l": 12, "r": 12, "t": 12, "b": 44},
        "showlegend": False,
        "hoverlabel": {"align": "left"},
        "hovermode": "closest",
        **more,
    }


def axis(title: str = "", **more: Any) -> Spec:
    """An axis that makes room for its labels."""
    return {"title": {"text": title}, "automargin": True, "zeroline": False, **more}


def note(text: str, **place: Any) -> Spec:
    """Text without an arrow, flush left at `place` (Plotly's `x`, `y`, `xref`, `yref` and so on)."""
    return {"text": text, "xanchor": "left", "yanchor": "bottom", "align": "left", "showarrow": False, **place}


def hatching(hatched: Sequence[bool], colour: str | list[str]) -> Spec:
    """The pattern of bars in `colour`: hatched if fences changed the step time."""
    return {
        "shape": ["/" if is_hatched else "" for is_hatched in hatched],
        "fillmode": "replace",
        "fgcolor": colour,
        "bgcolor": PAPER,
        "solidity": 0.9,
        "size": 9,
    }


def whisker_lengths(interval: Interval, scale: float = 1.0) -> tuple[float, float] | None:
    """The distances from an interval's value down to its low end and up to its high end; None if unknown."""
    if interval.low is None or interval.high is None:
        return None
    return (interval.value - interval.low) * scale, (interval.high - interval.value) * scale


def whiskers(
    along: str, x: Sequence[float], y: Sequence[float], lengths: Sequence[tuple[float, float] | None], **more: Any
) -> Spec:
    """A trace of whiskers alone along the axis "x" or "y", without those that are unknown.

    Plotly draws a whisker of zero width for a length of 0 or null, so an unknown whisker must have no point.
    """
    known = [(a, b, *both) for a, b, both in zip(x, y, lengths, strict=True) if both is not None]
    xs, ys, below, above = (list(column) for column in zip(*known, strict=True)) if known else ([], [], [], [])
    error_bars = {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "color": INK,
        "thickness": 1.2,
        "width": 5,
    }
    return {
        "type": "scatter",
        "mode": "none",
        "x": xs,
        "y": ys,
        f"error_{along}": error_bars,
        "hoverinfo": "skip",
        **more,
    }

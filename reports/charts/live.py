"""Charts for a page with JavaScript, as data that Plotly draws; `templates/page.js` shows one variant at a time.

Every number and word of a chart is made here: the page's own script only chooses among variants and hides phases.
A colour may be `var(--ink)` and the like: the page's own, light or dark.
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
    """One choice: its name for people, and its options in order, the first chosen at the beginning."""

    name: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Live:
    """A chart in all its variants, by the options chosen, joined by `|`."""

    variants: Mapping[str, Spec]
    controls: tuple[Control, ...] = ()
    switches: tuple[tuple[str, str], ...] = ()
    """(name, colour) of what can be switched off: all of a variant's traces of that name"""

    def as_json(self) -> dict[str, Any]:
        """For the page's script."""
        return asdict(self)


def choices(controls: Sequence[Control]) -> list[tuple[str, ...]]:
    """Every combination of options."""
    return list(product(*(control.options for control in controls)))


def key(chosen: Sequence[str]) -> str:
    """The name of the variant for the options chosen."""
    return "|".join(chosen)


def plain(text: str) -> str:
    """Text that Plotly shows as it is: it reads labels as a little HTML."""
    return "".join(_ENTITIES.get(letter, letter) for letter in text)


def layout(height: int, **more: Any) -> Spec:
    """What all charts' layouts share; `height` in pixels."""
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


def hatching(where: Sequence[bool], colour: str | list[str]) -> Spec:
    """The pattern of bars in `colour` that are hatched where fences changed what they measured."""
    return {
        "shape": ["/" if hatched else "" for hatched in where], "fillmode": "replace",
        "fgcolor": colour, "bgcolor": PAPER, "solidity": 0.9, "size": 9,
    }  # fmt: skip


def reach(interval: Interval, scale: float = 1.0) -> tuple[float, float] | None:
    """How far an interval reaches below and above its value; None where it is unknown."""
    if interval.low is None or interval.high is None:
        return None
    return (interval.value - interval.low) * scale, (interval.high - interval.value) * scale


def whiskers(
    along: str, x: Sequence[float], y: Sequence[float], reaches: Sequence[tuple[float, float] | None], **more: Any
) -> Spec:
    """A trace of nothing but whiskers along the axis "x" or "y", without those that are unknown.

    Plotly draws a whisker of no width where a place's reach is 0 or null: an unknown one must have no place.
    """
    known = [(a, b, *found) for a, b, found in zip(x, y, reaches, strict=True) if found is not None]
    xs, ys, below, above = (list(column) for column in zip(*known, strict=True)) if known else ([], [], [], [])
    bars = {
        "type": "data", "symmetric": False, "array": above, "arrayminus": below,
        "color": INK, "thickness": 1.2, "width": 5,
    }  # fmt: skip
    return {"type": "scatter", "mode": "none", "x": xs, "y": ys, f"error_{along}": bars, "hoverinfo": "skip", **more}

"""Seconds per epoch by phase: one stacked bar per subject and timing mode."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from epoch_gap.profiler.comparison.gap import Verdict
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import article_panel, canvas
from epoch_gap.reports.charts.breakdown_bars import (
    CHARGED,
    DONE,
    MARGIN,
    Bar,
    axis_end,
    bars,
    needs_shares,
    picture_bars,
    visible_phases,
)
from epoch_gap.reports.charts.live import (
    INK,
    PAPER,
    Control,
    Live,
    Spec,
    axis,
    combinations,
    escaped,
    hatching,
    layout,
    note,
    variant_name,
    whisker_lengths,
    whiskers,
)
from epoch_gap.reports.view import View

SECONDS, SHARE = "seconds", "share of the whole"
ROW, SHARES_ROW = 0.86, 0.56
"""inches per bar with the lines above it, in seconds and as shares"""
AXIS = 0.7
"""inches for the axis and the legend"""
KERNEL, KERNEL_HATCH, KERNEL_PATTERN = "operating system", "xxxx", "x"
"""the name of the operating system's part of each phase, and its pattern in the picture and on the page"""
LEAST_KERNEL = 0.004
"""share of the axis below which that pattern would only look like a smudge"""
THICKNESS = 0.5
"""of a bar, in rows"""
LINE_LETTERS = 108
"""characters of a line above a bar"""
LETTER = 0.0095
"""width of a character of a label, as a share of the panel's"""
PIXELS, LIVE_THICKNESS = 110, 0.42
"""on the page: pixels per bar with the lines above it, and the thickness of a bar in rows"""


def finding(view: View) -> str:
    """The headline ratio, if one side is slower."""
    if not view.gaps or view.gaps[0].verdict is not Verdict.SLOWER:
        return f"Time per {view.size.span} by phase"
    headline = view.gaps[0]
    slow, fast = headline.slow.title, headline.fast.title
    return f"{slow}: {formats.times(headline.ratio.value)} times the {view.size.whole} of {fast}"


def shown(view: View) -> bool:
    """Always."""
    return True


@canvas.styled
def static(view: View) -> Figure:
    """The bars by matplotlib: in seconds, as shares if a bar is too short, and the article's ratio."""
    rows, article = picture_bars(view), article_panel.article_panel(view)
    with_shares = needs_shares(rows)
    heights = [AXIS + ROW * len(rows)]
    heights += [AXIS - 0.2 + SHARES_ROW * len(rows)] if with_shares else []
    heights += [article_panel.HEIGHT] if article else []
    figure, panels = canvas.figure(view, finding(view), heights)
    _draw_seconds(panels[0], view, rows, labels_in_seconds=with_shares)
    has_kernel = any(any(bar.kernel.values()) for bar in rows)
    canvas.phase_legend(panels[0], visible_phases(view, rows), [(KERNEL, KERNEL_HATCH)] if has_kernel else [])
    if with_shares:
        _draw_shares(panels[1], rows)
    if article:
        article_panel.draw(panels[-1], article)
    return figure


def _draw_seconds(axes: Axes, view: View, rows: Sequence[Bar], labels_in_seconds: bool) -> None:
    end = axis_end(rows)
    for row, bar in enumerate(rows):
        _draw_bar(axes, row, bar, 1.0, end, lambda bar, phase: _segment_label(bar, phase, labels_in_seconds))
        total = bar.subject.epoch.seconds
        if (whisker := canvas.whisker(total)) is not None:
            below = row + THICKNESS / 2 + 0.07
            axes.errorbar(total.value, below, xerr=whisker, color=theme.INK, capsize=2.5, lw=1)
        _write_above(axes, row, bar.label, 12, fontsize=9, weight="bold")
        _write_above(axes, row, f"{bar.total}{flags_that_fit(bar)}", 2, fontsize=canvas.SMALL)
    full = view.size
    then = ", then the test set" if full.test_images else ""
    _finish(axes, len(rows), end, above=0.66)
    of = "" if full.is_stream else f" ({full.train_images} training {full.unit}{then})"
    axes.set_xlabel(f"seconds per {full.span}{of}")


def _draw_shares(axes: Axes, rows: Sequence[Bar]) -> None:
    for row, bar in enumerate(rows):
        _draw_bar(
            axes, row, bar, 100 / bar.seconds, 100 * MARGIN, lambda bar, phase: f"{phase} {_percent(bar, phase)}"
        )
        _write_above(axes, row, bar.label, 2, fontsize=canvas.SMALL)
    _finish(axes, len(rows), 100 * MARGIN, above=0.7)
    axes.set_xlabel("% of each bar: the same bars, each 100 %")


def _draw_bar(
    axes: Axes, row: int, bar: Bar, scale: float, axis_end: float, label_of: Callable[[Bar, Phase], str]
) -> None:
    left = 0.0
    for phase, part in bar.subject.epoch.phases.items():
        if part is None:
            continue
        width, colour = part.value * scale, theme.phase_colour(phase)
        axes.barh(
            row,
            width,
            THICKNESS,
            left=left,
            color=colour,
            edgecolor=theme.PAPER,
            linewidth=0.4,
            hatch="//" if bar.hatched else "",
        )
        if (system := bar.kernel.get(phase, 0.0) * scale) >= LEAST_KERNEL * axis_end:
            _draw_kernel(axes, row, left + width - system, system)
        label = label_of(bar, phase)
        if width >= LETTER * (max(map(len, label.splitlines())) + 1) * axis_end:
            _write_inside(axes, left + width / 2, row, label, colour)
        left += width


def _draw_kernel(axes: Axes, row: int, left: float, width: float) -> None:
    """The operating system's part, at the end of its phase's segment."""
    axes.barh(row, width, THICKNESS, left=left, color="none", edgecolor=theme.INK, linewidth=0, hatch=KERNEL_HATCH)


def _segment_label(bar: Bar, phase: Phase, in_seconds: bool) -> str:
    """The share of the epoch, or the seconds if a panel of shares is drawn too."""
    part = bar.subject.epoch.phases.get(phase)
    return f"{phase}\n{formats.seconds(part.value if part else None) if in_seconds else _percent(bar, phase)}"


def _percent(bar: Bar, phase: Phase) -> str:
    return formats.percent(bar.share(phase))


def _write_inside(axes: Axes, x: float, row: int, label: str, colour: str) -> None:
    """Write on the segment's own colour, so that no hatching runs through the letters."""
    axes.text(
        x,
        row,
        label,
        ha="center",
        va="center",
        color=theme.ink_on(colour),
        fontsize=canvas.SMALL,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": colour, "edgecolor": "none"},
    )


def _write_above(axes: Axes, row: int, text: str, points: float, **font: Any) -> None:
    place = (0, row - THICKNESS / 2)
    axes.annotate(text, place, (0, points), textcoords="offset points", va="bottom", ha="left", **font)


def _finish(axes: Axes, rows: int, end: float, above: float) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(rows - 0.55, -above)
    axes.set_xlim(0, end)


def flags_that_fit(bar: Bar) -> str:
    """The flags to show beside the bar's epoch, and the number of those that do not fit."""
    texts = [f"   \N{WARNING SIGN} {name}" for name in bar.flags]
    for count in range(len(texts), 0, -1):
        left_out = len(texts) - count
        line = "".join(texts[:count]) + (f"   \N{WARNING SIGN} {left_out} more" if left_out else "")
        if len(bar.total) + len(line) <= LINE_LETTERS:
            return line
    return f"   \N{WARNING SIGN} {len(texts)} flags" if texts else ""


def live(view: View) -> Live:
    """The bars by Plotly: in seconds or as shares, in either timing mode."""
    rows = bars(view)
    modes = [Control("timing mode", ("both", CHARGED, DONE))] if any(bar.mode for bar in rows) else []
    controls = (*modes, Control("unit", (SECONDS, SHARE)))
    variants = {}
    for chosen in combinations(controls):
        chosen_rows = [bar for bar in rows if bar.mode in ("", *chosen) or "both" in chosen]
        variants[variant_name(chosen)] = _spec(view, chosen_rows, relative=SHARE in chosen)
    return Live(variants, controls, tuple((str(p), theme.phase_colour(p)) for p in view.phases))


def _spec(view: View, rows: Sequence[Bar], relative: bool) -> Spec:
    scales = [100 / bar.seconds if relative else 1.0 for bar in rows]
    titles = ["<br>".join(_lines_above(bar)) for bar in rows]
    end, unit = (100 * MARGIN, "% of each bar") if relative else (axis_end(rows), f"seconds per {view.size.span}")
    made = layout(
        PIXELS * len(rows) + 60,
        barmode="stack",
        uniformtext={"minsize": 9, "mode": "hide"},
        xaxis={**axis(range=[0, end]), "title": {"text": unit, "standoff": 8}},
        yaxis={"visible": False, "range": [len(rows) - 0.6, -0.8], "fixedrange": True},
        annotations=[note(text, x=0, xref="paper", y=row - LIVE_THICKNESS / 2) for row, text in enumerate(titles)],
    )
    article = article_panel.article_panel(view)
    if article and not relative:
        article_panel.add_to_layout(made, article)
    return {"data": [*_segments(view, rows, scales), *([] if relative else _totals(rows))], "layout": made}


def _lines_above(bar: Bar) -> list[str]:
    """The label, the epoch and, on a line of their own for narrow screens, the flags."""
    flags = "   ".join(f"\N{WARNING SIGN} {escaped(name)}" for name in bar.flags)
    return [f"<b>{escaped(bar.label)}</b>", bar.total, *([flags] if flags else [])]


def _segments(view: View, rows: Sequence[Bar], scales: Sequence[float]) -> list[Spec]:
    """One trace per phase; a phase that a subject lacks is null."""
    traces = []
    for phase in view.phases:
        parts = [bar.subject.epoch.phases.get(phase) for bar in rows]
        colour = theme.phase_colour(phase)
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": str(phase),
                "width": LIVE_THICKNESS,
                "y": list(range(len(rows))),
                "x": [
                    (part.value - bar.kernel.get(phase, 0.0)) * scale if part else None
                    for bar, part, scale in zip(rows, parts, scales, strict=True)
                ],
                "text": [f"{phase}<br>{_percent(bar, phase)}" if bar.share(phase) else "" for bar in rows],
                "textposition": "inside",
                "insidetextanchor": "middle",
                "textangle": 0,
                "constraintext": "inside",
                "textfont": {"color": theme.ink_on(colour)},
                "hovertext": [_hover(bar, phase) for bar in rows],
                "hoverinfo": "text",
                "marker": {
                    "color": colour,
                    "line": {"color": PAPER, "width": 0.5},
                    "pattern": hatching([bar.hatched for bar in rows], colour),
                },
            }
        )
        if any(bar.kernel.get(phase) for bar in rows):
            traces.append(_kernel_segments(rows, scales, phase))
    return traces


def _kernel_segments(rows: Sequence[Bar], scales: Sequence[float], phase: Phase) -> Spec:
    """The operating system's part of a phase, after the rest of it; hidden with the phase."""
    seconds = [bar.kernel.get(phase, 0.0) for bar in rows]
    hover = [
        f"<b>{phase}</b>, {KERNEL}: {formats.seconds(part)}<br>{escaped(bar.label)}"
        for bar, part in zip(rows, seconds, strict=True)
    ]
    colour = theme.phase_colour(phase)
    return {
        "type": "bar",
        "orientation": "h",
        "name": str(phase),
        "width": LIVE_THICKNESS,
        "y": list(range(len(rows))),
        "x": [part * scale for part, scale in zip(seconds, scales, strict=True)],
        "hovertext": hover,
        "hoverinfo": "text",
        "marker": {
            "color": colour,
            "line": {"color": PAPER, "width": 0},
            "pattern": {"shape": KERNEL_PATTERN, "fgcolor": INK, "size": 5, "solidity": 0.25},
        },
    }


def _hover(bar: Bar, phase: Phase) -> str:
    interval = bar.subject.epoch.interval(phase)
    if interval is None:
        return ""
    return f"<b>{phase}</b>: {formats.interval(interval)}<br>{_percent(bar, phase)} of {escaped(bar.label)}"


def _totals(rows: Sequence[Bar]) -> list[Spec]:
    """The intervals of the epochs at the ends of the bars; shown while no phase is hidden."""
    intervals = [bar.subject.epoch.seconds for bar in rows]
    ends, places = [interval.value for interval in intervals], list(range(len(rows)))
    lengths = [whisker_lengths(interval) for interval in intervals]
    return [
        whiskers("x", ends, places, lengths, name="interval", meta="whole"),
        {
            "type": "scatter",
            "mode": "markers",
            "name": "whole",
            "meta": "whole",
            "x": ends,
            "y": places,
            "marker": {"color": INK, "size": 5},
            "hovertext": [f"<b>{bar.subject.size.whole}</b>: {bar.total}<br>{escaped(bar.label)}" for bar in rows],
            "hoverinfo": "text",
        },
    ]

"""The headline gap by phase, as a waterfall from the faster epoch to the slower one."""

import math
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from profiler.compare import Gap
from profiler.phases import Phase
from profiler.stats import Estimate, Interval
from reports import theme
from reports.charts import canvas
from reports.charts.breakdown import CHARGED, DONE
from reports.charts.live import INK, LINE, MUTED, Control, Live, Spec, axis, choices, error, key, layout, plain, reach
from reports.view import View
from reports.words import largest

GAP_FROM = 0.002
"""a phase gets a column of its own in the waterfall from this share of the slower epoch; the rest are one column"""


@dataclass(frozen=True)
class Column:
    """One step of the waterfall, from `start` to `start + interval.value`, in seconds."""

    name: str
    colour: str
    start: float
    interval: Interval

    @property
    def end(self) -> float:
        """Where the next one starts."""
        return self.start + self.interval.value


def columns(gap: Gap) -> list[Column]:
    """The gap's terms, the largest first; small ones together, so that the columns sum to the gap."""
    least = GAP_FROM * gap.slow.epoch.total.value
    large = sorted(((p, e) for p, e in gap.by_phase.items() if abs(e.value) >= least), key=lambda it: -it[1].value)
    small = [e for e in gap.by_phase.values() if abs(e.value) < least]
    terms = [(str(p), theme.PHASE_COLOURS[p], e) for p, e in large]
    if small:
        terms.append((f"{len(small)} smaller phases", theme.PHASE_COLOURS[Phase.OTHER], _together(small)))
    found, level = [], gap.fast_seconds
    for name, colour, part in terms:
        found.append(Column(name, colour, level, part.interval()))
        level += part.value
    return found


def _together(parts: list[Estimate]) -> Estimate:
    """The sum of estimates from the same steps: at the widest, as if their errors all went one way."""
    known = [part for part in parts if part.dof > 0]
    spread = sum(math.sqrt(part.variance) for part in known)
    return Estimate(sum(part.value for part in parts), spread**2, min((part.dof for part in known), default=0.0))


def finding(view: View) -> str:
    """What the waterfall shows, in one line."""
    headline = view.gaps[0]
    seconds = theme.seconds(headline.seconds.value)
    if headline.verdict != "slower":
        return f"{headline.slow.title} minus {headline.fast.title}: {seconds} per epoch"
    phase, part = largest(headline)[0]
    share = f"{part.value / headline.seconds.value:.0%}".replace("%", " %")
    return f"{share} of the {seconds} that {headline.slow.title} takes longer is charged to {phase}"


def shown(view: View) -> bool:
    """Where there are two subjects."""
    return bool(view.gaps)


def static(view: View) -> Figure:
    """The waterfall by matplotlib."""
    headline = view.gaps[0]
    figure, (axes,) = canvas.figure(view, finding(view), height=4.6)
    steps = columns(headline)
    first, last = headline.fast_seconds, steps[-1].end if steps else headline.fast_seconds
    highest = max([first, last, *(step.end for step in steps)])
    _whole(axes, 0, first)
    for x, step in enumerate(steps, start=1):
        axes.bar(
            x, step.interval.value, 0.7, bottom=step.start, color=step.colour, edgecolor=theme.INK, linewidth=0.5
        )
        top = max(step.start, step.end)
        if (whisker := canvas.whisker(step.interval)) is not None:
            axes.errorbar(x, step.end, yerr=whisker, color=theme.INK, capsize=3, lw=1)
            top = max(top, step.end + whisker[1][0])
        axes.annotate(
            _signed(step.interval.value), (x, min(top, highest * 1.05)), (0, 3),
            textcoords="offset points", ha="center", va="bottom", fontsize=canvas.SMALL,
        )  # fmt: skip
    _whole(axes, len(steps) + 1, last)
    names = [headline.fast.title, *(step.name for step in steps), headline.slow.title]
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n", 1) for name in names], fontsize=canvas.SMALL)
    axes.set_ylabel("seconds per epoch")
    axes.set_ylim(0, highest * 1.18)
    return figure


def _whole(axes: Axes, x: int, seconds: float) -> None:
    axes.bar(x, seconds, 0.7, color=theme.GRID, edgecolor=theme.MUTED)
    axes.text(x, seconds, theme.seconds(seconds), ha="center", va="bottom", fontsize=canvas.SMALL, weight="bold")


def _signed(seconds: float) -> str:
    return f"{'+' if seconds >= 0 else ''}{theme.seconds(seconds)}"


def live(view: View) -> Live:
    """The waterfall by Plotly: in either ledger, in seconds or as shares of the gap."""
    headline = view.gaps[0]
    ledgers = {CHARGED: headline, **({DONE: headline.fenced} if headline.fenced else {})}
    controls = (Control("ledger", tuple(ledgers)), Control("unit", ("seconds", "share of the gap")))
    variants = {
        key(chosen): _spec(gap, relative=chosen[1] != "seconds")
        for chosen in choices(controls)
        if (gap := ledgers[chosen[0]]) is not None
    }
    return Live(variants, controls)


def _spec(gap: Gap, relative: bool) -> Spec:
    steps, whole = columns(gap), gap.seconds.value
    names = [step.name for step in steps]
    if relative:
        scale = 100 / whole if whole else 0.0
        data = _steps(steps, names, scale, whole, from_zero=True)
        label = "% of the gap"
    else:
        names = [gap.fast.title, *names, gap.slow.title]
        data = [*_ends(gap, names), *_steps(steps, names[1:-1], 1.0, whole, from_zero=False)]
        label = "seconds per epoch"
    ticks = [plain(name).replace(" ", "<br>") for name in names]
    x = axis(
        tickvals=list(range(len(names))), ticktext=ticks, autotickangles=[0, 45, 90], range=[-0.6, len(names) - 0.4]
    )
    return {"data": data, "layout": layout(420, xaxis=x, yaxis=axis(label, rangemode="tozero"))}


def _ends(gap: Gap, names: list[str]) -> list[Spec]:
    both = [gap.fast_seconds, gap.fast_seconds + gap.seconds.value]
    return [
        {
            "type": "bar", "x": [0, len(names) - 1], "y": both, "width": 0.7,
            "marker": {"color": LINE, "line": {"color": MUTED, "width": 1}},
            "text": [theme.seconds(value) for value in both], "textposition": "outside", "cliponaxis": False,
            "hovertext": [
                f"<b>{plain(name)}</b>: {theme.seconds(value)} per epoch"
                for name, value in zip((names[0], names[-1]), both, strict=True)
            ],
            "hoverinfo": "text",
        }
    ]  # fmt: skip


def _steps(steps: list[Column], names: list[str], scale: float, whole: float, from_zero: bool) -> list[Spec]:
    place = range(len(names)) if from_zero else range(1, len(names) + 1)
    base = [0.0 if from_zero else step.start for step in steps]
    ends = [step.interval.value * scale if from_zero else step.end for step in steps]
    low, high = zip(*(reach(step.interval, scale) for step in steps), strict=True) if steps else ((), ())
    tops = [max(foot, end) + above for foot, end, above in zip(base, ends, high, strict=True)]
    words = [f"{100 * step.interval.value / whole:.1f} %" if whole else "" for step in steps]
    hover = [
        f"<b>{plain(step.name)}</b>: {theme.interval(step.interval)}<br>{share} of the gap"
        for step, share in zip(steps, words, strict=True)
    ]
    return [
        {
            "type": "bar", "x": list(place), "y": [step.interval.value * scale for step in steps], "base": base,
            "width": 0.7, "marker": {"color": [step.colour for step in steps], "line": {"color": INK, "width": 0.5}},
            "hovertext": hover, "hoverinfo": "text",
        },
        {
            "type": "scatter", "mode": "markers", "x": list(place), "y": ends, "error_y": error(low, high),
            "marker": {"color": INK, "size": 3}, "cliponaxis": False, "hovertext": hover, "hoverinfo": "text",
        },
        {
            "type": "scatter", "mode": "text", "x": list(place), "y": tops, "cliponaxis": False, "hoverinfo": "skip",
            "text": [
                share if from_zero else _signed(step.interval.value)
                for step, share in zip(steps, words, strict=True)
            ],
            "textposition": "top center",
        },
    ]  # fmt: skip

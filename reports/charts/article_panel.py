"""The article's two epochs beside this machine's ratio: part of the breakdown, on a scale of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.identity import active_settings
from epoch_gap.reports import article, formats, theme
from epoch_gap.reports.article import ARTICLE, ArticleRun
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.live import MUTED, Spec, note
from epoch_gap.reports.view import View

REMARK = (f"The article's epochs ({article.SETTING}),", "on their own scale; not measured here")
"""the conditions of the article's bars, in two lines for a narrow screen"""
HEIGHT = 0.95
"""inches"""
LONGEST = 0.4
"""of the panel's width"""
BAR_PIXELS, PIXELS = 50, 170
"""heights on the page: of the bars, and of the panel with its heading and the axis above it"""


@dataclass(frozen=True)
class ArticlePanel:
    """The ratio of the article's two frameworks, on this machine and in the article."""

    ratios: tuple[Interval, ...]
    """on this machine, one per pair of subjects: the article's slower framework over its faster one"""
    settings: tuple[str, ...]
    """what the pairs are, in the same order: `memory kept`, or nothing"""
    runs: tuple[ArticleRun, ArticleRun]
    """the article's runs, the slower one first"""

    @property
    def heading(self) -> str:
        """`Lucid / PyTorch: this machine 5.94x (5.52 to 6.40), article 2.5x`, with the two digits of its epochs."""
        return f"{self.names}: {self.comparison}"

    @property
    def names(self) -> str:
        """The two frameworks, as a ratio."""
        return " / ".join(run.title.partition(",")[0] for run in self.runs)

    @property
    def comparison(self) -> str:
        """Both ratios, the measured ones with their intervals."""
        measured = " and ".join(map(_describe, self.ratios, self.settings))
        return f"this machine {measured}, article {article.epoch_ratio():.2g}x"


def article_panel(view: View) -> ArticlePanel | None:
    """The panel; None unless the report shows both frameworks of the article."""
    slower, faster = article.slower_and_faster()
    pairs = [(ratio, gap) for gap in view.gaps if (ratio := _ratio(gap, slower, faster)) is not None]
    if len(view.article) < len(ARTICLE) or not pairs:
        return None
    ratios, settings = tuple(ratio for ratio, _ in pairs), tuple(_settings(gap) for _, gap in pairs)
    return ArticlePanel(ratios, settings, (ARTICLE[slower], ARTICLE[faster]))


def _describe(ratio: Interval, settings: str) -> str:
    within = formats.within(ratio.low, ratio.high, "x")
    return f"{formats.times(ratio.value)}x ({f'{settings}, ' if settings else ''}{within})"


def _ratio(gap: Gap, slower: str, faster: str) -> Interval | None:
    """The epoch of framework `slower` over that of `faster`; None if the gap is between other frameworks."""
    frameworks = gap.slow.framework.name, gap.fast.framework.name
    if frameworks == (slower, faster):
        return gap.ratio
    return _inverse(gap.ratio) if frameworks == (faster, slower) else None


def _settings(gap: Gap) -> str:
    """The labels and switches of a pair, `memory kept`; empty without any."""
    manifests = gap.slow.manifest, gap.fast.manifest
    return ", ".join(dict.fromkeys(name for m in manifests for name in (m.config.label, *active_settings(m)) if name))


def _inverse(ratio: Interval) -> Interval:
    low, high = (1 / end if end else None for end in (ratio.high, ratio.low))
    return Interval(1 / ratio.value, low, high)


def draw(axes: Axes, panel: ArticlePanel) -> None:
    """The panel by matplotlib."""
    for row, run in enumerate(panel.runs):
        axes.barh(row, run.epoch_seconds, 0.7, facecolor=theme.GRID, edgecolor=theme.MUTED, linestyle="--")
        axes.annotate(
            _label(run),
            (run.epoch_seconds, row),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=canvas.SMALL,
            color=theme.MUTED,
        )
    axes.set_axis_off()
    axes.set_xlim(0, panel.runs[0].epoch_seconds / LONGEST)
    axes.set_ylim(len(panel.runs) - 0.5, -0.5)
    axes.set_title(panel.heading, loc="left", fontsize=9, weight="bold", pad=15)
    axes.annotate(
        " ".join(REMARK),
        (0, 1),
        (0, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=canvas.SMALL,
        color=theme.MUTED,
    )


def _label(run: ArticleRun) -> str:
    return f"{run.title}: {formats.seconds(run.epoch_seconds)}"


def add_to_layout(layout: Spec, panel: ArticlePanel) -> None:
    """Add the panel to the layout of a Plotly chart, below its axes: the chart grows by `PIXELS`."""
    margin = layout["margin"]
    layout["height"] += PIXELS
    plot = layout["height"] - margin["t"] - margin["b"]
    layout["yaxis"] = {**layout["yaxis"], "domain": [PIXELS / plot, 1]}
    layout["xaxis"] = {**layout["xaxis"], "anchor": "y"}
    layout["yaxis2"] = _hidden_axis([len(panel.runs) - 0.5, -0.5], domain=[0, BAR_PIXELS / plot], anchor="x2")
    layout["xaxis2"] = _hidden_axis([0, panel.runs[0].epoch_seconds / LONGEST], anchor="y2")
    layout["shapes"] = [*layout.get("shapes", []), *(_outline(row, run) for row, run in enumerate(panel.runs))]
    heading = "<br>".join([f"<b>{panel.names}</b>", panel.comparison, *REMARK])
    layout["annotations"] = [
        *layout["annotations"],
        note(heading, x=0, xref="paper", y=BAR_PIXELS / plot, yref="paper", yshift=4),
        *(
            note(_label(run), x=run.epoch_seconds, xref="x2", y=row, yref="y2", yanchor="middle", xshift=4)
            for row, run in enumerate(panel.runs)
        ),
    ]


def _hidden_axis(limits: Sequence[float], **place: Any) -> Spec:
    return {"visible": False, "range": list(limits), "fixedrange": True, **place}


def _outline(row: int, run: ArticleRun) -> Spec:
    return {
        "type": "rect",
        "xref": "x2",
        "yref": "y2",
        "x0": 0,
        "x1": run.epoch_seconds,
        "y0": row - 0.35,
        "y1": row + 0.35,
        "line": {"dash": "dash", "color": MUTED, "width": 1.5},
    }

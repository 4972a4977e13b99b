"""The charts of a report, in the order of the page. `page/templates/page.html` places each by its name."""

from collections.abc import Mapping
from typing import Protocol

from matplotlib.figure import Figure

from epoch_gap.reports.charts import accuracy, breakdown, curves, experiments, gap, layers, roofline, timeline
from epoch_gap.reports.charts.live import Live
from epoch_gap.reports.view import View


class Chart(Protocol):
    """The functions of each module in `CHARTS`.

    Two modules differ: `flame` draws several pictures per report, `history` draws one picture of many reports.
    """

    def shown(self, view: View, /) -> bool:
        """Whether the report has data for the chart."""

    def finding(self, view: View, /) -> str:
        """The chart's main result, in one line."""

    def static(self, view: View, /) -> Figure:
        """The picture."""

    def live(self, view: View, /) -> Live:
        """The chart of a page with JavaScript."""


CHARTS: Mapping[str, Chart] = {
    "breakdown": breakdown,
    "gap": gap,
    "experiments": experiments,
    "accuracy": accuracy,
    "curves": curves,
    "timeline": timeline,
    "layers": layers,
    "roofline": roofline,
}
"""by the name of the picture's file, in the order of the page"""

"""One file for each chart: what is drawn, by matplotlib as a picture and by Plotly on the page."""

from collections.abc import Mapping
from typing import Protocol

from matplotlib.figure import Figure

from epoch_gap.reports.charts import accuracy, breakdown, gap, layers, roofline, timeline
from epoch_gap.reports.charts.live import Live
from epoch_gap.reports.view import View


class Chart(Protocol):
    """What the modules of `CHARTS` offer; `flame` has several pictures in a report, `history` one of many reports."""

    def shown(self, view: View, /) -> bool:
        """Whether the report has what the chart shows."""

    def finding(self, view: View, /) -> str:
        """What it shows, in one line."""

    def static(self, view: View, /) -> Figure:
        """The picture."""

    def live(self, view: View, /) -> Live:
        """The chart of a page with JavaScript."""


CHARTS: Mapping[str, Chart] = {
    "breakdown": breakdown,
    "gap": gap,
    "accuracy": accuracy,
    "timeline": timeline,
    "layers": layers,
    "roofline": roofline,
}
"""by the name of the picture's file, in the order of the page"""

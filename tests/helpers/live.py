"""Plotly's own check of what the page gives to Plotly."""

import json
import re

import plotly.graph_objects as go

from epoch_gap.reports.charts.live import Live


def check_by_plotly(live: Live) -> None:
    """Raises ValueError for a property that Plotly does not know, in any variant."""
    for spec in live.variants.values():
        coloured = re.sub(r'"var\(--\w+\)"', '"#123456"', json.dumps(spec, allow_nan=False))
        go.Figure(json.loads(coloured))

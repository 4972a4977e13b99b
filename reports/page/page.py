"""The page: one file, no network, escaped by the template engine; pictures without JavaScript, charts with it."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from plotly.offline import get_plotlyjs

from epoch_gap.profiler.command_name import command_name
from epoch_gap.profiler.comparison.fairness import Affects, Item
from epoch_gap.profiler.learning.outcomes import Outcome
from epoch_gap.reports import article, formats, theme
from epoch_gap.reports.charts import canvas, flame
from epoch_gap.reports.charts.live import Live
from epoch_gap.reports.charts.registry import CHARTS
from epoch_gap.reports.page import rows
from epoch_gap.reports.sentences.layers import describe_layers
from epoch_gap.reports.sentences.verdict import how_known
from epoch_gap.reports.terminal.drilldowns import slowest_lines
from epoch_gap.reports.terminal.tables import list_conditions
from epoch_gap.reports.view import View


def _with_code(text: str) -> Markup:
    """Escaped text, with spans between backticks set as code."""
    parts = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in parts)


TEMPLATES = Environment(
    loader=PackageLoader("epoch_gap.reports.page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["with_code"] = _with_code
FEW = 4
"""options that are shown side by side; more become a drop-down list"""


def render_page(view: View, figures: Mapping[str, Figure]) -> str:
    """The page as HTML; `figures` are the pictures of the charts that are shown, by name."""
    charts = _charts(view, figures)
    scripts = {"plotly": get_plotlyjs(), "own": source("page.js")}
    return TEMPLATES.get_template("page.html").render(
        view=view,
        charts=charts,
        flames=[name for name in charts if name.startswith("flame")],
        data={name: chart["live"].as_json() for name, chart in charts.items()},
        command=command_name(),
        scripts=scripts,
        policy=_policy(scripts.values()),
        css=source("page.css"),
        few=FEW,
        differing_time=_differing(view, Affects.TIME),
        differing_accuracy=_differing(view, Affects.ACCURACY),
        phase_rows=[rows.phase_row(view, phase) for phase in view.phases],
        glossary=rows.glossary(view),
        cross_outcomes=list(Outcome),
        accuracy_rows=rows.accuracy_rows(view),
        article_epoch=article.EPOCH,
        timing_modes=[rows.timing_modes(subject) for subject in view.subjects if subject.fenced],
        chain_rows=rows.chain_rows(view),
        kernel_rows=rows.kernel_rows(view),
        layer_rows=rows.layer_rows(view),
        category_rows=rows.category_rows(view),
        line_tables=[
            (s.title, slowest_lines(times))
            for s in view.subjects
            if (times := view.drilldowns.lines.get(s.id)) is not None
        ],
        layer_notes=[
            (s.title, describe_layers(view.drilldowns.layers.get(s.id), view.peak_rates))
            for s in view.subjects
            if view.drilldowns.layers
        ],
        runs=[rows.run_row(s, analysis) for s in view.subjects for analysis in s.analyses],
        own_cost=[(s.title, f"{max(a.marks_share for a in s.analyses):.1e}") for s in view.subjects],
        conditions=[(run.id, list_conditions(run)) for s in view.subjects for run in s.runs],
        meaning_of=rows.meaning_of,
        how_known=how_known,
        colour_of=theme.phase_colour,
        formats=formats,
    )


def _differing(view: View, affects: Affects) -> list[Item]:
    """The conditions that differ between the subjects and can affect time, or accuracy."""
    return [item for item in view.fairness if item.differs and item.affects in (affects, Affects.BOTH)]


def _charts(view: View, figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    """The content of each chart on the page, by name."""
    found = {
        name: _chart(CHARTS[name].finding(view), figure, CHARTS[name].live(view)) for name, figure in figures.items()
    }
    for number, one in enumerate(flame.flames(view), start=1):
        found[f"flame-{number}"] = _chart(f"{one.title}; {one.label}", flame.static(one), flame.live(one))
    return found


def _chart(finding: str, picture: Figure, live: Live) -> dict[str, Any]:
    return {"finding": finding, "picture": data_uri(canvas.svg(picture)), "live": live}


def data_uri(svg: str) -> str:
    """A picture as the address of an image."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


@cache
def source(name: str) -> str:
    """The text of a file beside the templates."""
    return (files("epoch_gap.reports.page") / "templates" / name).read_text()


def _policy(scripts: Iterable[str]) -> str:
    """The page's content security policy: no network, and no script except these."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"

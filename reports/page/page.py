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

from epoch_gap.profiler.comparison.fairness import Item
from epoch_gap.profiler.drilldown.lines import from_json
from epoch_gap.profiler.phases import MEANING
from epoch_gap.reports import article, theme
from epoch_gap.reports.charts import CHARTS, canvas, flame
from epoch_gap.reports.charts.live import Live
from epoch_gap.reports.export.summary import marks_share
from epoch_gap.reports.page import rows as page_rows
from epoch_gap.reports.sentences.verdict import accuracy_is_comparable, how_known
from epoch_gap.reports.terminal import layers as layer_tables
from epoch_gap.reports.terminal import tables as text
from epoch_gap.reports.terminal.tables import conditions
from epoch_gap.reports.view import View


def _with_code(text: str) -> Markup:
    """Text, escaped, with what stands between backticks set as code."""
    parts = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in parts)


_TEMPLATES = Environment(
    loader=PackageLoader("epoch_gap.reports.page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["with_code"] = _with_code
FEW = 4
"""options that are shown side by side; more are a list to choose from"""


def render(view: View, figures: Mapping[str, Figure]) -> str:
    """The page as HTML; `figures` holds the pictures of the charts that are shown, by name."""
    charts = _charts(view, figures)
    scripts = {"plotly": get_plotlyjs(), "own": _source("page.js")}
    return _TEMPLATES.get_template("page.html").render(
        view=view,
        charts=charts,
        flames=[name for name in charts if name.startswith("flame")],
        data={name: chart["live"].as_json() for name, chart in charts.items()},
        scripts=scripts,
        policy=_policy(scripts.values()),
        css=_source("page.css"),
        few=FEW,
        differing_time=_differing(view, "time"),
        differing_accuracy=_differing(view, "accuracy"),
        phase_rows=[page_rows.phase_row(view, phase) for phase in view.phases],
        glossary=page_rows.glossary(view),
        accuracy_rows=page_rows.accuracy_rows(view),
        accuracy_comparable=accuracy_is_comparable(view.subjects),
        article_epoch=article.EPOCH,
        ledgers=[page_rows.ledgers(subject) for subject in view.subjects if subject.fenced],
        chain_rows=page_rows.chain_rows(view),
        layer_rows=page_rows.layer_rows(view),
        family_rows=page_rows.family_rows(view),
        line_tables=[
            (s.title, text.top_lines(from_json(data), int(data["steps"]), float(data["slowdown"])))
            for s in view.subjects
            if (data := view.lines.get(s.id)) is not None
        ],
        layer_notes=[
            (s.title, layer_tables.notes(view.layers[s.id], view.ceilings))
            for s in view.subjects
            if s.id in view.layers
        ],
        runs=[page_rows.run_row(view, s, run) for s in view.subjects for run in s.runs],
        own_cost=[(s.title, f"{max(marks_share(r) for r in s.runs):.1e}") for s in view.subjects],
        conditions=[(run.id, conditions(run)) for s in view.subjects for run in s.runs],
        meaning=MEANING,
        how_known=how_known,
        colours=theme.PHASE_COLOURS,
        theme=theme,
    )


def _differing(view: View, what: str) -> list[Item]:
    """What differs between the subjects and can move `what`."""
    return [item for item in view.fairness if item.differs and item.matters in (what, "both")]


def _charts(view: View, figures: Mapping[str, Figure]) -> dict[str, dict[str, Any]]:
    """What the page shows of each chart, by name."""
    found = {
        name: _chart(CHARTS[name].finding(view), figure, CHARTS[name].live(view)) for name, figure in figures.items()
    }
    for number, one in enumerate(flame.flames(view), start=1):
        found[f"flame-{number}"] = _chart(f"{one.title}; {one.label}", flame.static(one), flame.live(one))
    return found


def _chart(finding: str, picture: Figure, live: Live) -> dict[str, Any]:
    return {"finding": finding, "picture": _data_uri(canvas.svg(picture)), "live": live}


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


@cache
def _source(name: str) -> str:
    return (files("epoch_gap.reports.page") / "templates" / name).read_text()


def _policy(scripts: Iterable[str]) -> str:
    """The page's content policy: nothing from elsewhere, and no script but these."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"

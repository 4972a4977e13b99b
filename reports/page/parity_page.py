"""The page of a parity check: one small file without scripts and without a network connection."""

from epoch_gap.profiler.parity.result import Parity
from epoch_gap.profiler.parity.tensors import Quantity
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.parity import describe_source, parity_figure
from epoch_gap.reports.page.page import TEMPLATES, data_uri, source
from epoch_gap.reports.sentences.parity import describe_first, describe_verdict, relative
from epoch_gap.reports.terminal.parity import definition_rows, layer_rows, step_rows

PAGE, PICTURE = "index.html", "parity.png"


def render_parity(parity: Parity) -> dict[str, bytes]:
    """The picture and the page, by file name."""
    figure = parity_figure(parity)
    page = TEMPLATES.get_template("parity.html").render(
        parity=parity,
        verdict=describe_verdict(parity),
        first=describe_first(parity),
        picture=data_uri(canvas.svg(figure)),
        steps=step_rows(parity),
        largest=layer_rows(parity),
        definitions=definition_rows(parity),
        layers=by_layer_rows(parity),
        source=describe_source(parity),
        css=source("page.css"),
    )
    return {PICTURE: canvas.png(figure), PAGE: page.encode()}


def by_layer_rows(parity: Parity) -> list[list[str]]:
    """One row per layer: each quantity's difference in the first step, and the largest with its step."""
    quantities = [quantity for quantity in Quantity if quantity in parity.traces]
    layers = dict.fromkeys(layer for quantity in quantities for layer in parity.traces[quantity])
    rows = [["layer", *(f"{quantity}, step 1 (largest, step)" for quantity in quantities)]]
    for layer in layers:
        cells = [_cell(parity, quantity, layer) for quantity in quantities]
        rows.append([layer, *cells])
    return rows


def _cell(parity: Parity, quantity: Quantity, layer: str) -> str:
    trace = parity.traces[quantity].get(layer)
    if trace is None:
        return ""
    step, largest = max(enumerate(trace.difference, start=1), key=lambda row: row[1])
    return f"{relative(trace.difference[0])} ({relative(largest)}, {step})"

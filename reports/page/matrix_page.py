"""The page of a matrix: one small file without scripts and without a network connection."""

from collections.abc import Sequence
from typing import NamedTuple

from epoch_gap.profiler.analysis.stats import Estimate, Interval
from epoch_gap.profiler.comparison.fairness import audit_fairness
from epoch_gap.profiler.comparison.history import build_histories
from epoch_gap.profiler.comparison.spread_history import KnownSpread
from epoch_gap.profiler.matrix.result import MatrixResult
from epoch_gap.profiler.matrix.version_series import Change, VersionSeries
from epoch_gap.profiler.phases import Phase, in_order
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloors
from epoch_gap.reports import formats, theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.matrix import describe_source, matrix_figure
from epoch_gap.reports.export.report_csv import HISTORY_CSV, history_csv
from epoch_gap.reports.page.page import TEMPLATES, data_uri, source
from epoch_gap.reports.sentences.matrix import (
    describe_cells,
    describe_conditions,
    describe_failures,
    describe_finding,
    describe_interval,
    describe_layers,
    describe_phases,
    describe_result,
    describe_size,
    describe_state,
    shown_version,
)
from epoch_gap.reports.sentences.verdict import describe_noise_floor

PAGE, PICTURE = "index.html", "matrix.png"
FILES = (PAGE, PICTURE, HISTORY_CSV)
MOST_LAYERS = 15
"""rows of a table of layers"""


class Cell(NamedTuple):
    """A cell of the table of phases."""

    seconds: str
    range: str = ""
    change: str = ""
    """from the version before, if it is shown"""


def render_matrix(result: MatrixResult, floors: NoiseFloors) -> dict[str, bytes]:
    """The picture, the page and the runs, by file name. At least one series."""
    figure = matrix_figure(result.series, result.matrix.name)
    page = TEMPLATES.get_template("matrix.html").render(
        name=result.matrix.name,
        findings=[describe_finding(series) for series in result.series],
        failures=[
            *describe_failures(result.states),
            *(f"layers of {title}: {reason}" for title, reason in result.layer_failures.items()),
        ],
        cells=describe_cells(result),
        picture=data_uri(canvas.svg(figure)),
        sections=[_section(series, floors) for series in result.series],
        cell_rows=cell_rows(result),
        colours={phase: theme.phase_colour(phase) for one in result.series for phase in one.history.phases},
        source=describe_source(result.series, result.matrix.name),
        css=source("page.css"),
    )
    runs = history_csv(build_histories(result.runs, {}, floors))
    return {PICTURE: canvas.png(figure), PAGE: page.encode(), HISTORY_CSV: runs.encode()}


def _section(series: VersionSeries, floors: NoiseFloors) -> dict[str, object]:
    """Everything that the page says about one series."""
    return {
        "title": describe_conditions(series),
        "versions": [(shown_version(series, i), version) for i, version in enumerate(series.versions)],
        "span": series.versions[0].size.span,
        "phases": phase_rows(series),
        "changes": change_rows(series),
        "layers": [(_describe_step(series, i), rows) for i, rows in layer_tables(series)],
        "floor": describe_noise_floor(KnownSpread(floors=floors).floor_of(*series.versions)),
        "conditions": condition_rows(series),
    }


def _describe_step(series: VersionSeries, place: int) -> str:
    return f"{shown_version(series, place)} to {shown_version(series, place + 1)}"


def phase_rows(series: VersionSeries) -> list[tuple[str, list[Cell]]]:
    """A row per phase and one for the epoch: the seconds of each version, and the changes that are shown."""
    rows: list[tuple[str, list[Cell]]] = [
        (phase, [_phase_cell(series, place, phase) for place in range(len(series.versions))])
        for phase in in_order(series.history.phases)
    ]
    totals = [
        _cell(version.epoch.seconds, _total_change(_change_to(series, place)))
        for place, version in enumerate(series.versions)
    ]
    return [*rows, (series.versions[0].size.whole, totals)]


def _change_to(series: VersionSeries, place: int) -> Change | None:
    """The change to a version from the one before; None for the first."""
    return series.changes[place - 1] if place else None


def _phase_cell(series: VersionSeries, place: int, phase: Phase) -> Cell:
    interval, change = series.versions[place].epoch.interval(phase), _change_to(series, place)
    part = _change_as_charged(change, phase) if change is not None else None
    return _cell(interval, formats.signed(formats.seconds(part.value)) if part is not None else "")


def _change_as_charged(change: Change, phase: Phase) -> Estimate | None:
    """The change of a phase beside its as-run seconds; None if there is none, or only one of fenced steps."""
    if not change.is_shown:
        return dict(change.phases).get(phase) if change.where is change.gap else None
    part = change.gap.by_phase.get(phase)
    return part if part is not None and part.interval().excludes(0) else None


def _total_change(change: Change | None) -> str:
    return describe_size(change) if change is not None and change.is_shown else ""


def _cell(interval: Interval | None, change: str) -> Cell:
    if interval is None:
        return Cell("n/a", "", change)
    return Cell(formats.seconds(interval.value), formats.within(interval.low, interval.high), change)


def change_rows(series: VersionSeries) -> list[list[str]]:
    """A row per pair of neighbouring versions, below the head."""
    return [
        ["versions", "result", "ratio", "phases that changed, per epoch", "layers that changed, per epoch"],
        *(
            [
                _describe_step(series, place),
                describe_result(change),
                describe_interval(change),
                describe_phases(change),
                describe_layers(change, series),
            ]
            for place, change in enumerate(series.changes)
        ),
    ]


def layer_tables(series: VersionSeries) -> list[tuple[int, list[list[str]]]]:
    """The largest changes of layers in each change that is shown or has phases that changed, by its place."""
    return [
        (place, _layer_rows(series, place, change))
        for place, change in enumerate(series.changes)
        if change.has_changed and change.has_layer_times
    ]


def _layer_rows(series: VersionSeries, place: int, change: Change) -> list[list[str]]:
    versions = [shown_version(series, place), shown_version(series, place + 1)]
    rows = [["layer", "direction", *versions, "change per step", "95 % interval"]]
    for one in change.layers[:MOST_LAYERS]:
        sides = [formats.milliseconds(seconds) for seconds in (one.before, one.after)]
        i, clear = one.seconds, "" if one.seconds.excludes(0) else "~ "
        value = f"{clear}{formats.signed(formats.milliseconds(i.value))}"
        rows.append([one.layer, str(one.direction), *sides, value, formats.within(i.low, i.high)])
    return rows


def condition_rows(series: VersionSeries) -> list[list[str]]:
    """The conditions that differ between the versions, below the head; empty if none does."""
    items = [item for item in audit_fairness(series.versions) if item.differs]
    names = [shown_version(series, place) for place in range(len(series.versions))]
    rows = [
        [item.name, *(item.values[version.id] for version in series.versions), str(item.affects)] for item in items
    ]
    return [["condition", *names, "can affect"], *rows] if rows else []


def cell_rows(result: MatrixResult) -> list[list[str]]:
    """A row per configuration: the state of each repeat."""
    head = ["configuration", *(f"repeat {repeat}" for repeat in range(1, result.matrix.repeats + 1))]
    rows: Sequence[list[str]] = [
        [configuration.title, *map(describe_state, result.of_configuration(configuration))]
        for configuration in result.matrix.configurations
    ]
    return [head, *rows]

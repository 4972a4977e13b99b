"""A matrix in the terminal: the versions of each series with their changes, and the cells that have no run."""

from epoch_gap.profiler.matrix.result import MatrixResult
from epoch_gap.profiler.matrix.version_series import VersionSeries
from epoch_gap.profiler.printable import printable
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.matrix import (
    describe_cells,
    describe_conditions,
    describe_failures,
    describe_finding,
    describe_layers,
    describe_phases,
    describe_result,
    shown_version,
)
from epoch_gap.reports.terminal.tables import align

HEAD = ("version", "runs", "seconds per {}", "95 % interval", "against the version before", "phases", "layers")


def matrix_tables(result: MatrixResult) -> str:
    """Every series with its finding, the count of cells, and a line per failure."""
    lines = [f"{_series_table(series)}\n{describe_finding(series)}\n" for series in result.series]
    failures = [f"failed: {line}" for line in describe_failures(result.states)]
    failures += [f"failed: layers of {title}: {reason}" for title, reason in result.layer_failures.items()]
    return "\n".join([*lines, describe_cells(result), *map(printable, failures)])


def _series_table(series: VersionSeries) -> str:
    rows = [[word.format(series.versions[0].size.span) for word in HEAD]]
    for place, version in enumerate(series.versions):
        change = series.changes[place - 1] if place else None
        epoch = version.epoch.seconds
        rows.append(
            [
                shown_version(series, place),
                str(len(version.runs)),
                formats.seconds(epoch.value),
                formats.within(epoch.low, epoch.high),
                describe_result(change) if change else "",
                describe_phases(change) if change else "",
                describe_layers(change, series) if change else "",
            ]
        )
    return f"{describe_conditions(series)}\n{align(rows)}"

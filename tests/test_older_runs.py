"""Runs stored by earlier versions read as they did then: summary.json, phases.csv and every exported table."""

import io
import json
from pathlib import Path

import pytest

from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.reports.export.report_csv import phases_csv
from epoch_gap.reports.export.run_tables import WRITERS, epochs_table, phases_table, steps_table
from tests.helpers.numbers import cells, differences, leaves
from tests.helpers.paths import ROOT
from tests.helpers.views import build_view

OLDER_RUNS = sorted((ROOT / "tests" / "older_runs").iterdir())
each_version = pytest.mark.parametrize("folder", OLDER_RUNS, ids=lambda path: path.name)


@each_version
def test_an_older_run_gives_the_summary_of_its_own_version(folder: Path) -> None:
    view = build_view([read_run(find_runs(folder)[0])])
    expected = json.loads((folder / "expected" / "summary.json").read_text())
    then, now = leaves(expected), leaves(json.loads(json.dumps(view.summary)))
    assert differences(then, {path: now.get(path) for path in then}) == {}, "later versions add keys"
    assert differences(cells((folder / "expected" / "phases.csv").read_text()), cells(phases_csv(view.summary))) == {}


@each_version
def test_an_older_run_exports_the_tables_of_its_own_version(folder: Path) -> None:
    run = read_run(find_runs(folder)[0])
    tables = {
        "steps": steps_table(run),
        "epochs": epochs_table(run),
        "phases": phases_table(Subject.from_runs([run])),
    }
    for name, table in tables.items():
        stream = io.BytesIO()
        WRITERS["csv"](table, stream)
        expected = cells((folder / "expected" / f"export-{name}.csv").read_text())
        exported = cells(stream.getvalue().decode())
        later = {cell: exported[cell] for cell in exported.keys() - expected.keys()}
        assert set(later.values()) <= {""}, "a column of a later version is empty"
        assert differences(expected, {cell: exported[cell] for cell in expected.keys() & exported.keys()}) == {}

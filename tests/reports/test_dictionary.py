"""docs/data-dictionary.md names every column that is written, and no other."""

import re
from pathlib import Path

import pytest

from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import MEANING, Phase
from epoch_gap.reports.export.report_csv import HISTORY_CSV_COLUMNS, PHASES_CSV_COLUMNS
from epoch_gap.reports.export.run_tables import (
    collectives_table,
    epochs_table,
    phase_usage_table,
    phases_table,
    steps_table,
)
from epoch_gap.reports.scaling import SCALING_CSV_COLUMNS
from tests.helpers.runs import MakeRun

TEXT = (Path(__file__).parents[2] / "docs" / "data-dictionary.md").read_text()

CSVS = ("phases.csv", "history.csv", "scaling.csv")


def first_cells(section: str) -> list[str]:
    """The names in a section's table; those of a phase for `<phase>`."""
    names = re.findall(r"^\| `([^`]+)` \|", section, re.M)
    return [column for name in names for column in expanded(name)]


def expanded(name: str) -> list[str]:
    return [name.replace("<phase>", phase) for phase in Phase] if "<phase>" in name else [name]


def columns(title: str) -> list[str]:
    return first_cells(TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0])


@pytest.mark.parametrize("title", ["steps", "phase_usage", "collectives", "epochs", "phases", *CSVS])
def test_every_written_column_is_in_the_dictionary_and_no_other(make_run: MakeRun, title: str) -> None:
    run = make_run([1.0] * 6, evaluation=[0.5])
    written = {
        "steps": steps_table(run).column_names,
        "phase_usage": phase_usage_table(run).column_names,
        "collectives": collectives_table(run).column_names,
        "epochs": epochs_table(run).column_names,
        "phases": phases_table(Subject.from_runs([run])).column_names,
        "phases.csv": list(PHASES_CSV_COLUMNS),
        "history.csv": list(HISTORY_CSV_COLUMNS),
        "scaling.csv": list(SCALING_CSV_COLUMNS),
    }
    assert columns(title) == written[title]


def test_every_phase_is_explained() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", TEXT.split("\n## ")[0], re.M)
    assert dict(rows) == {str(phase): meaning for phase, meaning in MEANING.items()}

"""The sample reports in docs/ equal the reports of their stored runs."""

import html
import json
import re
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared.run_selection import add_latest_candidates, readable_noise_floors
from epoch_gap.profiler.drilldown.loading import load_drilldowns
from epoch_gap.profiler.experiments.assessment import load_assessments
from epoch_gap.profiler.learning.assessment import load_cross_assessments
from epoch_gap.profiler.parity.result import FILE, parity_from_json, parity_to_text
from epoch_gap.profiler.storage.manifest import DataKind
from epoch_gap.reports.export.explanation import explanation
from epoch_gap.reports.report import EXPLANATION
from epoch_gap.reports.sentences.parity import describe_first, describe_verdict
from tests.helpers.numbers import differences, leaves
from tests.helpers.paths import ROOT
from tests.helpers.views import build_view

SAMPLE = ROOT / "docs" / "sample"


@pytest.mark.parametrize("name", ["batch-128", "batch-8", "frameworks", "experiments", "curve"])
def test_the_sample_equals_the_report_of_its_stored_runs(name: str) -> None:
    runs_dir = SAMPLE / "runs" / name
    runs = add_latest_candidates([], runs_dir)
    warnings: list[str] = []
    drilldowns = load_drilldowns(runs, runs_dir, warnings.append)
    assessments = load_assessments(runs_dir, warnings.append)
    crosses = load_cross_assessments(runs_dir, warnings.append)
    view = build_view(runs, readable_noise_floors(runs_dir), drilldowns, assessments, crosses)
    stored = json.loads((SAMPLE / name / "summary.json").read_text())
    assert differences(leaves(stored), leaves(json.loads(json.dumps(view.summary)))) == {}
    assert view.verdict in html.unescape((SAMPLE / name / "index.html").read_text())
    assert (SAMPLE / name / EXPLANATION).read_text() == explanation(view)
    assert all(run.manifest.data.kind is DataKind.CIFAR10 for run in runs)
    assert warnings == []


@pytest.mark.parametrize("name", ["lucid", "mlx"])
def test_the_sample_of_a_parity_check_equals_its_stored_result(name: str) -> None:
    folder = SAMPLE / "parity" / name
    text = (folder / FILE).read_text()
    parity = parity_from_json(json.loads(text))
    assert parity_to_text(parity) == text
    assert parity.data.kind is DataKind.CIFAR10
    page = html.unescape((folder / "index.html").read_text())
    assert all(line in page for line in (describe_verdict(parity), *describe_first(parity)))


def test_the_sample_of_a_matrix_equals_what_is_made_of_its_stored_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = SAMPLE / "versions"
    words = ["matrix", f"{stored}.toml", "--show", "--runs-dir", str(SAMPLE / "runs"), "--out", str(tmp_path)]
    assert main(words) == 0
    assert "skipped" not in capsys.readouterr().err
    assert (tmp_path / "history.csv").read_text() == (stored / "history.csv").read_text()
    assert without_pictures(tmp_path / "index.html") == without_pictures(stored / "index.html")


@pytest.mark.parametrize("name", ["ranks", "late-rank"])
def test_the_sample_of_ranks_equals_what_is_made_of_their_stored_runs(name: str, tmp_path: Path) -> None:
    stored = SAMPLE / name
    assert main(["ranks", "--runs-dir", str(SAMPLE / "runs" / name), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "trace.json").read_text() == (stored / "trace.json").read_text()
    assert without_pictures(tmp_path / "index.html") == without_pictures(stored / "index.html")


def without_pictures(page: Path) -> str:
    """The text of a page; how a picture is drawn depends on the fonts of the machine."""
    return re.sub(r"data:image/[^\"]*", "", page.read_text())

import base64
import json

import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.reports.report import FILES, render_report
from tests.helpers.runs import MakeRun

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_report_has_all_its_files_and_the_same_runs_give_the_same_bytes(make_run: MakeRun) -> None:
    synthetic = {"kind": "synthetic"}
    runs = [make_run([s] * 6, evaluation=[0.2], config={"label": f"{s}"}, data=synthetic) for s in (2.0, 1.0)]
    report = render_report(runs)
    drawn = {"breakdown", "gap", "accuracy", "timeline"}
    assert {name for name in report.files if name.endswith(".png")} == {f"{name}.png" for name in drawn}
    assert set(report.files) <= set(FILES)
    assert render_report(runs).files == report.files

    page = report.files[report.page].decode()
    with_svg = render_report(runs, svg=True).files
    for name in drawn:
        assert report.files[f"{name}.png"].startswith(PNG)
        assert base64.b64encode(with_svg[f"{name}.svg"]).decode() in page
    summary = json.loads(report.files["summary.json"])
    assert summary == json.loads(json.dumps(report.view.summary))
    assert {subject["data"] for subject in summary["subjects"]} == {"synthetic"}
    assert report.files["phases.csv"].startswith(b"subject,ledger,phase,")


def test_one_subject_has_no_picture_of_a_gap(make_run: MakeRun) -> None:
    report = render_report([make_run([1.0] * 6)])
    assert "gap.png" not in report.files
    assert "The gap by phase" not in report.files[report.page].decode()


def test_a_training_that_diverged_is_reported(make_run: MakeRun) -> None:
    report = render_report([make_run([1.0] * 6, losses=[2.3] + [float("nan")] * 5)])
    assert json.loads(report.files["summary.json"])["subjects"][0]["accuracy"]["first_batch_loss"] == 2.3


def test_runs_that_cannot_be_compared_are_refused(make_run: MakeRun) -> None:
    with pytest.raises(UserError, match="batch size"):
        render_report([make_run([1.0] * 6), make_run([1.0] * 6, images=[5] * 6, config={"batch_size": 5})])

"""The sample report in docs/ is what its stored runs give today."""

import html
import json
from pathlib import Path
from typing import Any

import pytest

from epoch_gap.profiler.commands import report
from epoch_gap.profiler.storage import store
from epoch_gap.reports.view import build

SAMPLE = Path(__file__).parents[1] / "docs" / "sample"


def numbers(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf by its path."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in numbers(inner, f"{path}.{key}").items()}
    if isinstance(value, list):
        return {k: v for i, inner in enumerate(value) for k, v in numbers(inner, f"{path}[{i}]").items()}
    return {path: value}


def alike(a: Any, b: Any) -> bool:
    """Equal, but for the last digits of a number."""
    return bool(a == pytest.approx(b, rel=1e-9)) if isinstance(a, float) else a == b


@pytest.mark.parametrize("name", ["batch-128", "batch-8"])
def test_the_sample_is_made_from_its_stored_runs(name: str) -> None:
    runs_dir = SAMPLE / "runs" / name
    paths = report.with_latest_others([], runs_dir)
    runs = [store.read(path) for path in paths]
    view = build(runs, report.floors(runs_dir), report.drilldowns(runs, runs_dir))
    stored = json.loads((SAMPLE / name / "summary.json").read_text())
    then, now = numbers(stored), numbers(json.loads(json.dumps(view.summary)))
    assert then.keys() == now.keys()
    assert {path: value for path, value in then.items() if not alike(value, now[path])} == {}
    assert view.verdict in html.unescape((SAMPLE / name / "index.html").read_text())
    assert all(run.manifest["data"]["kind"] == "cifar10" for run in runs)

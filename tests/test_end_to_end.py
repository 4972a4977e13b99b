"""The main job as users run it: both real frameworks, fresh processes, a report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.workloads.cifar10.synthetic import make_synthetic
from tests.helpers.paths import ROOT


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """(runs, report, stdout) of `profile --preset smoke` on an .npz file."""
    folder = tmp_path_factory.mktemp("profile")
    data = folder / "cifar10.npz"
    np.savez(data, **make_synthetic(200, 50, 3)._asdict())
    runs, out = folder / "runs", folder / "out"
    words = ["profile", "--preset", "smoke", "--device", "cpu", "--data", str(data)]
    words += ["--runs-dir", str(runs), "--out", str(out)]
    own_folders = {"EPOCH_GAP_CACHE": str(folder / "cache"), "EPOCH_GAP_LOCKS": str(folder / "locks")}
    command = [sys.executable, "-m", "profiler", *words]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **own_folders})
    assert result.returncode == 0, result.stderr
    return runs, out, result.stdout


def test_both_frameworks_run_to_the_end_in_processes_of_their_own(profiled: tuple[Path, Path, str]) -> None:
    stored = [read_run(path) for path in find_runs(profiled[0])]
    assert {run.framework.name for run in stored} == {"torch", "lucid"}
    for run in stored:
        assert run.status == "complete"
        assert (sum(run.train.phase_ns.values()) == run.train.wall_ns).all()
        assert run.framework.conditions["parameters"] == 11_173_962
        assert run.manifest.data.kind == "cifar10"


def test_the_report_names_the_slower_side_and_the_reason(profiled: tuple[Path, Path, str]) -> None:
    _, out, printed = profiled
    summary = json.loads((out / "summary.json").read_text())
    assert {s["framework"] for s in summary["subjects"]} == {"torch", "lucid"}
    phases = {s["framework"]: s["phases"]["asrun"] for s in summary["subjects"]}
    assert phases["torch"]["materialize"] is None
    assert phases["lucid"]["materialize"]["share"] is not None
    gap = summary["gaps"][0]
    assert sum(e["value"] for e in gap["by_phase"]["asrun"].values()) == pytest.approx(gap["seconds"]["value"])
    page = (out / "index.html").read_text()
    assert printed.splitlines()[0].startswith(("Lucid", "PyTorch"))
    assert "54.0 s" in page
    assert "136 s" in page


def test_the_fairness_list_names_the_blas_of_each_side(profiled: tuple[Path, Path, str]) -> None:
    summary = json.loads((profiled[1] / "summary.json").read_text())
    blas = next(item for item in summary["fairness"] if item["item"] == "NumPy's BLAS")
    libraries = ("openblas", "mkl", "accelerate")
    assert all(any(name in text.lower() for name in libraries) for text in blas["values"].values())

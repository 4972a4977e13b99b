"""The verb `matrix` with the scripted fake: its cells, resumption and failures, and what it shows."""

import csv
import html
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared import matrix_environment, matrix_workflow
from epoch_gap.profiler.commands.shared.matrix_environment import EnvironmentSpec
from epoch_gap.profiler.commands.shared.matrix_job import execute_process, job_variables, link_code
from epoch_gap.profiler.commands.shared.matrix_plan import THREAD_VARIABLES, Plan
from epoch_gap.profiler.commands.shared.matrix_workflow import snakemake_words, wait_for
from epoch_gap.profiler.drilldown import roofline
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.matrix.matrix import read_matrix
from epoch_gap.profiler.storage.artifacts import find_artifacts
from epoch_gap.profiler.storage.manifest import Network
from epoch_gap.profiler.storage.reader import find_runs, read_run
from tests.helpers.matrix import FAKES, WORKLOAD, Scheduler, scheduler, write_matrix
from tests.helpers.paths import ROOT

__all__ = ["scheduler"]
TWO = FAKES + '\n[[framework]]\nname = "torch"\nversions = ["9.9"]\n'


@pytest.fixture
def call(runs: Path, tmp_path: Path, blank_pictures: None):
    """Calls `matrix` on the file `mine.toml`, with stored runs in `runs`."""
    return lambda *more: main(
        ["matrix", str(tmp_path / "mine.toml"), "--runs-dir", str(runs), "--out", str(tmp_path / "out"), *more]
    )


def stored(runs: Path) -> list[str]:
    """The cells of the stored runs, oldest first."""
    return [read_run(path).manifest.cell or "" for path in find_runs(runs / "matrix" / "mine")]


def test_every_cell_runs_once_in_the_matrixs_order_and_is_skipped_by_the_next_call(
    runs: Path, tmp_path: Path, call, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    matrix = read_matrix(write_matrix(tmp_path))
    assert call() == 0
    cells = [cell.id for cell in matrix.cells]
    assert stored(runs) == cells
    assert [run.framework.version for run in map(read_run, find_runs(runs / "matrix" / "mine"))] == list("123321")
    manifests = [read_run(path).manifest for path in find_runs(runs / "matrix" / "mine")]
    assert [manifest.turn for manifest in manifests] == [1, 2, 3, 4, 5, 6]
    assert {manifest.session for manifest in manifests} == {matrix.session}
    assert "6 cells: 6 complete" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"index.html", "matrix.png", "history.csv"}
    rows = list(csv.DictReader((tmp_path / "out" / "history.csv").read_text().splitlines()))
    assert [row["version"] for row in rows] == list("112233")

    scheduler.ids = []
    assert call() == 0
    assert scheduler.ids == []
    assert "every cell is complete" in capsys.readouterr().err
    assert find_runs(runs) == [], "reports do not select these runs"


def test_an_interrupted_matrix_goes_on_where_it_was(
    runs: Path, tmp_path: Path, call, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [cell.id for cell in read_matrix(write_matrix(tmp_path)).cells]
    scheduler.stop_after = 4
    assert call() == 130
    assert "6 cells: 4 complete, 2 not run" in capsys.readouterr().out
    scheduler.stop_after = None
    assert call() == 0
    assert scheduler.ids == cells[4:]
    assert stored(runs) == cells
    (tmp_path / "out" / "index.html").unlink()
    assert call("--show") == 0
    assert (tmp_path / "out" / "index.html").is_file()


@pytest.mark.parametrize("status", [130, 143, -signal.SIGINT, -signal.SIGTERM])
def test_a_cell_that_was_stopped_has_not_failed(
    tmp_path: Path, call, scheduler: Scheduler, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    write_matrix(tmp_path)
    scheduler.execute = lambda command, log, plan: status
    assert call() == 1
    assert "6 cells: 6 not run" in capsys.readouterr().out


def test_a_run_that_is_gone_is_run_again_whatever_the_scheduler_remembers(
    runs: Path, tmp_path: Path, call, scheduler: Scheduler
) -> None:
    write_matrix(tmp_path)
    assert call() == 0
    lost = find_runs(runs / "matrix" / "mine")[2]
    cell = read_run(lost).manifest.cell
    shutil.rmtree(lost)
    assert call() == 0
    assert scheduler.ids == [cell]


def test_a_cell_that_fails_is_shown_with_its_reason_and_the_rest_goes_on(
    runs: Path, tmp_path: Path, call, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    write_matrix(tmp_path, FAKES.replace('"2" = "forward=1"', '"2" = "forward=cheap"'))
    assert call() == 1
    out = capsys.readouterr().out
    assert "6 cells: 4 complete, 2 failed" in out
    reason = "--fake-costs: 'forward=cheap' is not PHASE=MILLISECONDS (ended with status 2)"
    assert f"failed: fake 2, cpu, batch 10: {reason} (2 cells)" in out
    assert reason in html.unescape((tmp_path / "out" / "index.html").read_text())
    assert call("--show") == 0

    write_matrix(tmp_path)
    capsys.readouterr()
    assert call() == 0
    assert len(scheduler.ids) == 2, "only the cells that another configuration replaced"
    assert "failed" not in capsys.readouterr().out


def test_layers_are_timed_once_per_configuration_after_all_cells(
    runs: Path, tmp_path: Path, call, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roofline, "SIDE", 128)
    monkeypatch.setattr(roofline, "COPIED", 100_000)
    write_matrix(tmp_path, layers=True)
    scheduler.stop_after = 7
    assert call() == 130
    scheduler.stop_after = None
    assert call() == 0
    assert [id.partition("-")[0] for id in scheduler.ids] == ["layers", "layers"]
    assert len(list((runs / "matrix" / "mine" / "drilldown").iterdir())) == 3
    scheduler.ids = []
    assert call() == 0
    assert scheduler.ids == []


def test_cells_and_layers_of_another_network_are_others(
    runs: Path, tmp_path: Path, call, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roofline, "SIDE", 128)
    monkeypatch.setattr(roofline, "COPIED", 100_000)
    write_matrix(tmp_path, layers=True)
    assert call() == 0
    write_matrix(tmp_path, workload=f'{WORKLOAD}model = "lenet5"\nimage_size = 40\n', layers=True)
    assert call() == 0
    assert len(scheduler.ids) == 9, "six cells and three times of layers, none of them again"
    lenet = Network("lenet5", 40)
    store = runs / "matrix" / "mine"
    assert [read_run(path).config.network for path in find_runs(store)] == [Network()] * 6 + [lenet] * 6
    assert len(find_artifacts(store, "layers.json", "layers-fake-cpu.lenet5.40x40-")) == 3
    page = html.unescape((tmp_path / "out" / "index.html").read_text())
    assert "scripted fake (cpu, lenet5, 40x40), batch 10" in page
    assert call() == 0
    assert len(scheduler.ids) == 9, "everything is complete"


def test_an_environment_that_cannot_be_made_fails_its_cells_only(
    runs: Path, tmp_path: Path, call, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[EnvironmentSpec] = []

    def make(spec: EnvironmentSpec, log: Path) -> None:
        made.append(spec)
        raise UserError("uv pip: there is no version of torch==9.9")

    scheduler.make = make
    write_matrix(tmp_path, TWO)
    assert call() == 1
    assert [spec.own for spec in made] == [("torch==9.9", "torchvision")]
    out = capsys.readouterr().out
    assert "8 cells: 6 complete, 2 failed" in out
    reason = "environment of torch 9.9: uv pip: there is no version of torch==9.9"
    assert f"failed: torch 9.9, cpu, batch 10: {reason} (2 cells)" in out
    assert len(stored(runs)) == 6


UV = """#!/bin/sh
echo "$@" >> {log}
case "$1 $2" in
  "pip compile") while [ "$1" != --output-file ]; do shift; done; printf 'torch==9.9\\nnumpy==2.0\\n' > "$2" ;;
  venv*) for last; do :; done; mkdir -p "$last/bin" ;;
esac
"""


def test_a_cell_runs_in_its_environment_which_is_made_once_per_list_of_packages(
    runs: Path, tmp_path: Path, call, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv, log = tmp_path / "uv", tmp_path / "uv.log"
    uv.write_text(UV.format(log=log))
    uv.chmod(0o755)
    monkeypatch.setattr(matrix_environment, "find_tool", lambda name: str(uv))
    commands: list[list[str]] = []

    def execute(command, log: Path, plan: Plan) -> int:
        commands.append(list(command))
        return 1

    scheduler.execute = execute
    write_matrix(tmp_path, TWO)
    for _ in range(2):
        assert call() == 1
    ours = {command[0] for command in commands if "torch" in command}
    (python,) = map(Path, ours)
    assert python.parent.parent.parent == tmp_path / "cache" / "venvs"
    assert {command[0] for command in commands if "fake" in command} == {sys.executable}
    called = [" ".join(line.split()[:2]) for line in log.read_text().splitlines()]
    assert called == ["pip compile", "venv --clear", "pip sync"], "the second call found everything"
    (packages,) = (runs / "matrix" / "mine" / "environments").iterdir()
    assert packages.read_text() == "torch==9.9\nnumpy==2.0\n"


def test_a_job_has_the_threads_of_the_command_and_imports_this_project_only(tmp_path: Path) -> None:
    plan = Plan(
        store=str(tmp_path), folder=str(tmp_path), variables={"MKL_NUM_THREADS": "3"}, environments=(), jobs=()
    )
    of_scheduler = {**dict.fromkeys(THREAD_VARIABLES, "1"), "PATH": "/bin", "PYTHONPATH": "/somewhere"}
    assert job_variables(of_scheduler, plan) == {
        "PATH": "/bin",
        "MKL_NUM_THREADS": "3",
        "PYTHONPATH": str(tmp_path / "code"),
    }
    link_code(tmp_path)
    link_code(tmp_path)
    assert {path.name for path in (tmp_path / "code" / "epoch_gap").iterdir()} == {"profiler", "reports", "workloads"}
    program = "import epoch_gap.profiler as p, pathlib; print(pathlib.Path(p.__file__).resolve())"
    log = tmp_path / "log"
    assert execute_process([sys.executable, "-c", program], log, plan) == 0
    assert Path(log.read_text().strip()) == ROOT / "profiler" / "__init__.py"
    assert execute_process([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], log, plan) == -9


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (('name = "fake"', 'name = "jux"'), "no framework 'jux'; choose from lucid, torch, mlx, jax, "),
        (('name = "fake"', 'name = "torch"'), "torch has no scripted costs"),
        (("steps = 3", "steps = 'many'"), "workload: argument --steps: invalid whole number value: 'many'"),
        (("steps = 3", "stpes = 3"), "unknown key 'stpes' in workload; the keys are preset, data"),
        (("steps = 3", "batch_size = 3"), "unknown key 'batch_size' in workload"),
        (("repeats = 2", 'switches = [["nothing"]]'), "--switch nothing: no such experiment"),
        (("repeats = 2", "repeats = -1"), "repeats -1 is less than 1"),
    ],
)
def test_a_wrong_matrix_is_one_line_and_status_2_before_anything_runs(
    runs: Path,
    tmp_path: Path,
    call,
    scheduler: Scheduler,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, str],
    line: str,
) -> None:
    path = write_matrix(tmp_path)
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    assert call() == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {path}: ")
    assert line in errors
    assert len(errors.splitlines()) == 1
    assert not runs.exists()


def test_a_requirement_that_is_none_is_one_line(
    tmp_path: Path, call, scheduler: Scheduler, capsys: pytest.CaptureFixture[str]
) -> None:
    write_matrix(tmp_path, TWO + 'packages = ["numpy = 2"]\n')
    assert call() == 2
    assert "'numpy = 2' is no requirement" in capsys.readouterr().err


def test_what_the_machine_lacks_or_is_busy_with_is_one_line(
    runs: Path, tmp_path: Path, call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_matrix(tmp_path)
    assert call("--at-once", "2") == 2
    assert "--at-once: cells on one machine would slow each other down" in capsys.readouterr().err
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    assert call() == 2
    assert capsys.readouterr().err.startswith("error: snakemake is not installed; run `make matrix`")
    monkeypatch.setattr(matrix_workflow, "check_tools", lambda needs_uv: None)
    with hold_run_lock("other", allow_others=False):
        assert call() == 2
    assert "records another run" in capsys.readouterr().err
    with matrix_workflow.hold_store(runs / "matrix" / "mine"):
        assert call() == 2
    assert "another `matrix` works in" in capsys.readouterr().err
    assert call("--show") == 0
    assert "6 cells: 6 not run" in capsys.readouterr().out
    assert list((tmp_path / "out").iterdir()) == []


def test_snakemake_gets_one_job_at_a_time_here_and_a_profile_on_a_cluster() -> None:
    here = " ".join(snakemake_words(Path("/store/workflow/plan.json"), None, 1))
    assert "--directory /store/workflow --configfile /store/workflow/plan.json" in here
    assert "--keep-going --scheduler greedy" in here
    assert here.endswith("--cores 1 --quiet all --resources timed=1")
    cluster = " ".join(snakemake_words(Path("/store/workflow/plan.json"), "slurm", 4))
    assert cluster.endswith("--profile slurm --jobs 4 --resources timed=4")


def test_sigterm_is_passed_on_and_awaited(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (open({str(tmp_path / 'end')!r}, 'w').close(), sys.exit(0)))\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(600)\n"
    )
    assert wait_for([sys.executable, "-c", program]) == 128 + signal.SIGTERM
    assert (tmp_path / "end").exists()
    assert wait_for([sys.executable, "-c", "raise SystemExit(3)"]) == 3


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="Snakemake is not installed")
def test_snakemake_runs_the_cells_in_order_and_goes_on_after_a_failure(runs: Path, tmp_path: Path) -> None:
    write_matrix(tmp_path, FAKES.replace('"2" = "forward=1"', '"2" = "forward=cheap"'))
    words = ["matrix", str(tmp_path / "mine.toml"), "--runs-dir", str(runs), "--out", str(tmp_path / "out")]
    command = [sys.executable, "-m", "profiler", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 1, done.stderr
    assert "6 cells: 4 complete, 2 failed" in done.stdout
    found = [read_run(path) for path in find_runs(runs / "matrix" / "mine")]
    assert [run.framework.version for run in found] == list("1331")
    assert not {name for run in found for name in run.manifest.environment.variables} & set(THREAD_VARIABLES) - set(
        os.environ
    )
    plan = json.loads((runs / "matrix" / "mine" / "workflow" / "plan.json").read_text())
    assert plan["jobs"][0]["title"] == "[1/6] fake 1, cpu, batch 10, repeat 1"

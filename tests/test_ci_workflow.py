"""The files of docs/ci/: the script in processes of its own, and the workflow that calls it."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.storage.reader import find_runs, read_run
from tests.helpers.paths import ROOT
from tests.helpers.processes import store_interpreter

SCRIPT = ROOT / "docs" / "ci" / "performance-gate.sh"
WORKFLOW = ROOT / "docs" / "ci" / "performance-gate.yml"
WORDS = ["--framework", "fake", "--data", "synthetic", "--batch-size", "16", "--train-limit", "320", "--test-limit"]
WORDS += ["64", "--repeats", "2", "--minutes", "1", "--quiet", "--no-drill-down"]
BASE, HEAD = "forward=2,backward=2,evaluate=1", "forward=2,backward=60,evaluate=1"
"""the head takes 15 times as long: whatever else the machine does, it is slower"""


def run_script(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    environment |= {"EPOCH_GAP_CACHE": str(folder / "cache"), "EPOCH_GAP_LOCKS": str(folder / "locks")}
    return subprocess.run([str(SCRIPT), *words], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """The folder of a job whose head is slower, and the end of its script."""
    folder = tmp_path_factory.mktemp("job")
    base = store_interpreter(folder / "base-python", "--fake-costs", BASE)
    head = store_interpreter(folder / "head-python", "--fake-costs", HEAD)
    return folder, run_script(folder, str(base), str(head), *WORDS)


def test_a_slower_head_is_red_and_the_comment_begins_with_the_verdict(
    compared: tuple[Path, "subprocess.CompletedProcess[str]"],
) -> None:
    folder, ended = compared
    assert (ended.returncode, ended.stdout) == (1, "")
    comment = (folder / "comment.md").read_text()
    assert comment.startswith("**Gate failed:** B is at least ")
    assert re.search(r"^\| backward \|", comment, re.M)
    assert (folder / "summary.md").read_text() == comment


def test_base_and_head_are_processes_of_their_own_interpreters_in_turns(
    compared: tuple[Path, "subprocess.CompletedProcess[str]"],
) -> None:
    stored = [read_run(path) for path in find_runs(compared[0] / "runs" / "gate")]
    places = [(run.config.label, run.manifest.round, run.manifest.turn) for run in stored]
    assert sorted(places) == [("fake base", 1, 1), ("fake base", 2, 2), ("fake head", 1, 2), ("fake head", 2, 1)]
    script = {run.config.label: run.framework.conditions["script"] for run in stored}
    assert "backward=2," in script["fake base"]
    assert "backward=60," in script["fake head"]


@pytest.mark.parametrize("broken", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho problem >&2\nexit 7\n"])
def test_an_interpreter_that_cannot_start_the_program_is_no_slowdown(tmp_path: Path, broken: str) -> None:
    python = tmp_path / "python"
    python.write_text(broken)
    python.chmod(0o755)
    ended = run_script(tmp_path, str(python), str(python), "--framework", "fake")
    assert ended.returncode not in (0, 1)
    assert (tmp_path / "comment.md").read_text().startswith("**No comparison:** the gate ended with status ")


def test_the_script_without_its_arguments_says_what_it_needs(tmp_path: Path) -> None:
    ended = run_script(tmp_path, "python")
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: performance-gate.sh BASE_PYTHON HEAD_PYTHON OPTION...")
    assert not (tmp_path / "comment.md").exists()


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())
    return read


def commands(workflow: dict[str, Any]) -> str:
    steps = workflow["jobs"]["compare"]["steps"]
    return "\n".join(step["run"] for step in steps if "run" in step)


def test_the_workflow_calls_the_script_with_options_of_the_verb(
    workflow: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    call = re.search(r"profiler/(\S+\.sh) (\S+) (\S+) (.+)$", commands(workflow), re.M)
    assert call is not None
    assert ROOT / call[1] == SCRIPT
    assert os.access(SCRIPT, os.X_OK)
    words = f"{call[4]} {workflow['env']['OPTIONS']}"
    with pytest.raises(SystemExit):
        main(["gate", "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    used = set(re.findall(r"--[a-z-]+", words))
    assert {"--framework", "--fail-above"} <= used <= known


def test_the_workflow_installs_both_sides_and_comments_on_either_result(workflow: dict[str, Any]) -> None:
    run = commands(workflow)
    assert "--editable" in run, "so that the commit is stored"
    steps = workflow["jobs"]["compare"]["steps"]
    (comment,) = [step for step in steps if "gh pr comment" in step.get("run", "")]
    assert "cancelled()" in comment["if"]
    assert "comment.md" in comment["run"]
    checkouts = [step["with"] for step in steps if step.get("uses", "").startswith("actions/checkout")]
    assert [checkout["path"] for checkout in checkouts] == ["head", "base", "profiler"]
    assert all(checkout["fetch-depth"] == 0 for checkout in checkouts[:2]), "git describe needs the tags"

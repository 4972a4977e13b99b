"""Matrices of the scripted fake, and a scheduler in this process in place of Snakemake."""

import io
import json
import shlex
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared import matrix_workflow
from epoch_gap.profiler.commands.shared.exit_status import INTERRUPTED
from epoch_gap.profiler.commands.shared.matrix_job import MakeEnvironment, run_job
from epoch_gap.profiler.commands.shared.matrix_plan import Plan

WORKLOAD = """
[workload]
data = "synthetic"
train_limit = 40
test_limit = 20
steps = 3
"""
FAKES = """
[[framework]]
name = "fake"
versions = ["1", "2", "3"]
costs = { "1" = "forward=1", "2" = "forward=1", "3" = "forward=4" }
"""


def write_matrix(
    folder: Path, frameworks: str = FAKES, name: str = "mine", workload: str = WORKLOAD, **keys: object
) -> Path:
    """A file in `folder` with these frameworks on a small workload; `keys` are values of the whole matrix."""
    values = {"repeats": 2, "devices": ["cpu"], "batch_sizes": [10], **keys}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines) + workload + frameworks)
    return path


def execute_here(command: Sequence[str], log: Path, plan: Plan) -> int:
    """Execute a command of the profiler in this process."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        try:
            status = main(command[3:])
        except SystemExit as ended:
            status = int(ended.code or 0)
    log.write_text(output.getvalue())
    return status


class Scheduler:
    """Runs the jobs of a plan by their priority, each after those that it needs, and notes their ids."""

    def __init__(self, make: MakeEnvironment | None = None) -> None:
        self.make = make
        self.execute: Callable[[Sequence[str], Path, Plan], int] = execute_here
        self.stop_after: int | None = None
        self.ids: list[str] = []

    def __call__(self, plan_file: Path, profile: str | None, at_once: int) -> int:
        self.ids = []
        status = 0
        for rule in sorted(json.loads(plan_file.read_text())["rules"], key=lambda rule: -rule["priority"]):
            if len(self.ids) == self.stop_after:
                return INTERRUPTED
            if not all((plan_file.parent / need).exists() for need in rule["needs"]):
                continue
            self.ids.append(shlex.split(rule["command"])[-1])
            status |= bool(run_job(plan_file, self.ids[-1], self.execute, self.make))
        return status


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> Scheduler:
    """In place of Snakemake; neither Snakemake nor uv needs to be there."""
    scheduler = Scheduler()
    monkeypatch.setattr(matrix_workflow, "schedule", scheduler)
    monkeypatch.setattr(matrix_workflow, "check_tools", lambda needs_uv: None)
    return scheduler

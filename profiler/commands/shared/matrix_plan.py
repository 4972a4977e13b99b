"""The plan of one call of `matrix`: the jobs for a scheduler, as JSON that the workflow and the jobs read."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from epoch_gap.profiler.commands.shared.matrix_environment import EnvironmentSpec, environment_of
from epoch_gap.profiler.matrix.cell_state import CellState, CellStatus
from epoch_gap.profiler.matrix.matrix import Cell, Configuration, Matrix
from epoch_gap.profiler.storage.artifacts import read_json_artifact
from epoch_gap.profiler.storage.atomic import write_atomically
from epoch_gap.profiler.storage.typed_json import convert_json

WORKFLOW, PLAN = "workflow", "plan.json"
"""the scheduler's folder beside the runs, and the plan in it"""
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)
"""Snakemake sets them to the threads of a job, which would be a condition that nobody asked for."""
OF_LAYERS = ("seed", "allocator", "mmap", "model", "image_size")
"""the options of a workload that the timing of layers takes"""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One process that the scheduler starts: it makes an environment, or executes a verb in one."""

    id: str
    title: str
    words: tuple[str, ...] = ()
    """of the command line; empty: the job makes its environment"""
    environment: str | None = None
    """the id of its environment; None: this process's own"""

    @property
    def needs(self) -> list[str]:
        """The ids of jobs that must have succeeded before."""
        return [self.environment] if self.words and self.environment else []


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The jobs in the order in which they run, and what they share."""

    store: str
    """the absolute path of the folder of the matrix's runs"""
    folder: str
    """the working folder of the command"""
    variables: Mapping[str, str]
    """the environment variables of `THREAD_VARIABLES` that were set when the command was called"""
    environments: tuple[EnvironmentSpec, ...]
    jobs: tuple[Job, ...]

    def job(self, id: str) -> Job:
        """The job with this id."""
        return next(job for job in self.jobs if job.id == id)

    def environment(self, id: str) -> EnvironmentSpec:
        """The environment with this id."""
        return next(spec for spec in self.environments if spec.id == id)


@dataclass(frozen=True)
class JobFiles:
    """What a job of a matrix leaves beside the runs in `store`."""

    store: Path
    id: str

    @property
    def done(self) -> Path:
        """Exists once the job has succeeded."""
        return self.store / WORKFLOW / "done" / self.id

    @property
    def log(self) -> Path:
        """What the job's process printed."""
        return self.store / WORKFLOW / "logs" / f"{self.id}.log"

    @property
    def failed(self) -> Path:
        """The reason why the last attempt failed."""
        return self.store / "failed" / f"{self.id}.txt"

    def reason(self) -> str:
        """Why the last attempt failed; empty if it did not."""
        return self.failed.read_text().strip() if self.failed.is_file() else ""


@dataclass(frozen=True, kw_only=True)
class Common:
    """What all processes of one call share."""

    store: Path
    data: str
    """the images, as `resolve_source` names them"""
    data_warning: str = ""
    allow_busy: bool = False

    @property
    def words(self) -> list[str]:
        """Options of every process."""
        words = ["--data", self.data, "--runs-dir", str(self.store.resolve()), "--quiet"]
        return [*words, *["--allow-busy"] * self.allow_busy]


def layers_id(matrix: Matrix, configuration: Configuration) -> str:
    """The id of the job that times a configuration's layers."""
    return f"layers-{matrix.identify(configuration)}"


def failure_of(store: Path, id: str, configuration: Configuration) -> str:
    """Why the last attempt of a configuration's job failed, or that of its environment; empty if neither did."""
    if reason := JobFiles(store, id).reason():
        return reason
    spec = environment_of(configuration)
    reason = JobFiles(store, spec.id).reason() if spec is not None else ""
    return f"{spec.title}: {reason}" if spec is not None and reason else ""


def failure_of_cell(store: Path) -> Callable[[Cell], str]:
    """`failure_of` for the cells of a store."""
    return lambda cell: failure_of(store, cell.id, cell.configuration)


def make_plan(
    matrix: Matrix, states: Iterable[CellState], without_layers: Iterable[Configuration], common: Common
) -> Plan:
    """The jobs for all cells that are not complete, and for the layers of the configurations without them.

    Environments come first, and layers last.
    """
    cells = [state.cell for state in states if state.status is not CellStatus.COMPLETE]
    layered = list(without_layers)
    specs = {
        spec.id: spec
        for configuration in dict.fromkeys([*(cell.configuration for cell in cells), *layered])
        if (spec := environment_of(configuration)) is not None
    }
    return Plan(
        store=str(common.store.resolve()),
        folder=str(Path.cwd()),
        variables={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        environments=tuple(specs.values()),
        jobs=(
            *(Job(id=spec.id, title=spec.title, environment=spec.id) for spec in specs.values()),
            *(_run_job(matrix, cell, common) for cell in cells),
            *(_layers_job(matrix, configuration, common) for configuration in layered),
        ),
    )


def _run_job(matrix: Matrix, cell: Cell, common: Common) -> Job:
    order = ",".join(matrix.identify(other.configuration) for other in matrix.cells)
    place = ["--session", matrix.session, "--turn", str(cell.number), "--order", order, "--cell", cell.id]
    words = ["run", *_words_of(cell.configuration), *workload_words(matrix.workload), *common.words, *place]
    return Job(
        id=cell.id,
        title=f"[{cell.number}/{len(matrix.cells)}] {cell.title}",
        words=(*words, "--data-warning", common.data_warning),
        environment=_environment_id(cell.configuration),
    )


def _layers_job(matrix: Matrix, configuration: Configuration, common: Common) -> Job:
    shared = {name: value for name, value in matrix.workload.items() if name in OF_LAYERS}
    return Job(
        id=layers_id(matrix, configuration),
        title=f"layers of {configuration.title}",
        words=("layers", *_words_of(configuration), *workload_words(shared), *common.words),
        environment=_environment_id(configuration),
    )


def _environment_id(configuration: Configuration) -> str | None:
    spec = environment_of(configuration)
    return None if spec is None else spec.id


def _words_of(configuration: Configuration) -> Iterator[str]:
    one = configuration
    yield from ("--framework", one.framework, "--device", one.device, "--batch-size", str(one.batch_size))
    for switch in one.switches:
        yield from ("--switch", switch)
    if environment_of(one) is None:  # nothing else decides its version
        yield from ("--fake-version", one.version)
        if one.costs:
            yield from ("--fake-costs", one.costs)


def workload_words(workload: Mapping[str, Any]) -> list[str]:
    """The options of a workload, as a command line; a value that is true or false is an option without a value."""
    words = []
    for name, value in workload.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [option] if value else []
        else:
            words += [option, str(value)]
    return words


def store_plan(plan: Plan) -> Path:
    """Write the plan for the workflow, and forget the results of its jobs' earlier attempts. Returns its path."""
    store = Path(plan.store)
    for job in plan.jobs:
        files = JobFiles(store, job.id)
        for path in (files.done, files.failed, files.log):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
    path = store / WORKFLOW / PLAN
    write_atomically(path, json.dumps({**asdict(plan), "rules": list(_rules(plan, path))}, indent=1) + "\n")
    return path


def _rules(plan: Plan, path: Path) -> Iterator[dict[str, object]]:
    """A rule of the workflow per job: the earlier in the order, the higher its priority."""
    module = "epoch_gap.profiler.commands.shared.matrix_job"
    store, folder = Path(plan.store), path.parent
    for place, job in enumerate(plan.jobs):
        yield {
            "name": f"job_{place + 1}",
            "title": job.title,
            "needs": [str(JobFiles(store, id).done.relative_to(folder)) for id in job.needs],
            "done": str(JobFiles(store, job.id).done.relative_to(folder)),
            "priority": len(plan.jobs) - place,
            "command": shlex.join([sys.executable, "-m", module, str(path), job.id]),
        }


def read_plan(path: Path) -> Plan:
    """The plan that `store_plan` wrote. Raises UserError."""
    return convert_json(read_json_artifact(path), Plan, "not a plan")

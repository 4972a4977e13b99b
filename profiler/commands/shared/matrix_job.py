"""One job of a matrix, the process that the scheduler starts: it makes an environment, or executes a verb in one.

A job that fails leaves its reason beside the runs, and everything that its command printed in its log.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from epoch_gap.profiler.commands.shared.exit_status import INTERRUPTED, TERMINATED, exit_status_of
from epoch_gap.profiler.commands.shared.matrix_environment import Environments, EnvironmentSpec
from epoch_gap.profiler.commands.shared.matrix_plan import THREAD_VARIABLES, Job, JobFiles, Plan, read_plan
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.printable import printable
from epoch_gap.profiler.storage.atomic import write_atomically

FAILED = 1
STOPPED = (INTERRUPTED, TERMINATED, -signal.SIGINT, -signal.SIGTERM)
"""exit statuses of a command that did not fail but was stopped, the last two before it could handle the signal"""
CODE = "code"
"""the folder beside the runs from which a job imports this project, and nothing else"""
Execute = Callable[[Sequence[str], Path, Plan], int]
"""executes a command, with its output in a file, and returns its exit status"""
MakeEnvironment = Callable[[EnvironmentSpec, Path], None]
"""makes an environment, with the output in a file. Raises UserError"""


def main(words: Sequence[str]) -> int:
    """Execute the job `words[1]` of the plan in the file `words[0]`. Returns the exit status."""
    return exit_status_of(lambda: run_job(Path(words[0]), words[1]))


def run_job(plan_file: Path, id: str, execute: Execute | None = None, make: MakeEnvironment | None = None) -> int:
    """Execute a job; `execute` and `make` can take the place of a process and of uv. Returns the exit status."""
    plan = read_plan(plan_file)
    job, files = plan.job(id), JobFiles(Path(plan.store), id)
    print(job.title, file=sys.stderr, flush=True)
    try:
        status = _execute(plan, job, files.log, execute or execute_process, make)
        reason = _describe_end(files.log, status) if status else ""
    except UserError as error:
        status, reason = FAILED, str(error)
    if status == 0:
        files.done.touch()
    elif status not in STOPPED:
        write_atomically(files.failed, f"{printable(reason)}\n")
        print(f"{job.title}: failed: {printable(reason)}", file=sys.stderr, flush=True)
    return status


def _execute(plan: Plan, job: Job, log: Path, execute: Execute, make: MakeEnvironment | None) -> int:
    """The exit status of a job. Raises UserError if an environment cannot be made."""
    environments = Environments.of_matrix(Path(plan.store))
    spec = None if job.environment is None else plan.environment(job.environment)
    if spec is not None and not job.words:
        (make or environments.make)(spec, log)
        return 0
    python = sys.executable if spec is None else str(environments.python(spec))
    return execute([python, "-m", "epoch_gap.profiler", *job.words], log, plan)


def execute_process(command: Sequence[str], log: Path, plan: Plan) -> int:
    """The exit status of a command whose output goes to `log`.

    SIGTERM is passed on; Ctrl-C reaches the whole process group by itself. Either way, this function returns only
    after the command has ended.
    """
    environment = job_variables(os.environ, plan)
    with (
        log.open("ab") as file,
        subprocess.Popen(command, stdout=file, stderr=file, env=environment, cwd=plan.folder) as process,
    ):
        before = signal.signal(signal.SIGTERM, lambda signum, frame: process.terminate())
        try:
            return process.wait()
        except KeyboardInterrupt:
            return process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)


def job_variables(current: Mapping[str, str], plan: Plan) -> dict[str, str]:
    """The environment variables of a job's command: as when `matrix` was called, with this project to import."""
    kept = {name: value for name, value in current.items() if name not in THREAD_VARIABLES}
    return {**kept, **plan.variables, "PYTHONPATH": str(Path(plan.store) / CODE)}


def link_code(store: Path) -> None:
    """Make this project importable from the folder `CODE` of a store, without what is installed beside it."""
    package = store / CODE / "epoch_gap"
    package.mkdir(parents=True, exist_ok=True)
    for name in ("profiler", "reports", "workloads"):
        link = package / name
        link.unlink(missing_ok=True)
        link.symlink_to(Path(import_module(f"epoch_gap.{name}").__path__[0]).resolve())


def _describe_end(log: Path, status: int) -> str:
    """The error that a command printed, or else its last line, and its exit status."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    printed = errors or [line.strip() for line in lines if line.strip()]
    ended = f"ended with status {status}" if status > 0 else f"ended by signal {-status}"
    return f"{printed[-1]} ({ended})" if printed else ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

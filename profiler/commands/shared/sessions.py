"""Sessions: several `run` processes in an order fixed in advance, one after the other or in rounds."""

import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType

from epoch_gap.profiler.commands.shared.exit_status import INTERRUPTED, TERMINATED, USAGE_ERROR
from epoch_gap.profiler.commands.shared.rounds import Budget, Round
from epoch_gap.profiler.commands.shared.turn_process import TurnProcess
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.reader import read_header

NO_FENCES = ("--fence", "none")
EXPLAINED = (USAGE_ERROR, INTERRUPTED, TERMINATED)
"""exit statuses of a run that has already printed the reason"""


def alternating_order(names: Sequence[str], repeats: int) -> list[str]:
    """A B B A A B ...: a slow change of the machine affects all of them equally."""
    forward, backward = list(names), list(reversed(names))
    return [name for repeat in range(repeats) for name in (forward if repeat % 2 == 0 else backward)]


def run_session(
    arguments: Mapping[str, Sequence[str]], order: Sequence[str], allow_busy: bool
) -> tuple[int, list[Path]]:
    """Execute the verb `run` for each name in `order` with that name's `arguments`, each in a fresh process.

    Returns the exit status of the first failure, which ends the session, or 0; and the directories of the runs.
    Raises UserError if another timed run is in progress.
    """
    session = secrets.token_hex(4)
    paths: list[Path] = []
    with hold_run_lock(session, allow_others=allow_busy):
        for number, name in enumerate(order, start=1):
            print(f"[{number}/{len(order)}] {name}", file=sys.stderr, flush=True)
            turn = ["--session", session, "--turn", str(number), "--order", ",".join(order)]
            status, path = run_process([*arguments[name], *turn])
            if path is not None:
                paths.append(path)
            if status:
                _explain(name, status)
                return status, paths
    return 0, paths


def _explain(name: str, status: int) -> None:
    if status not in EXPLAINED:
        print(f"{name} ended with status {status}; no result is reported", file=sys.stderr)


def run_rounds(
    arguments: Mapping[str, Sequence[str]],
    budget: Budget,
    allow_busy: bool,
    show: Callable[[str], None],
    session: str = "",
    pythons: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, list[Path]]:
    """Execute the verb `run` for each name, in rounds of fresh processes that take turns, within `budget`.

    `session` is the id that the runs share; by default a new one. `pythons` has the interpreters of names that have
    another one than this process.

    A fence does nothing in an eager side; it only gives the resource usage of a step its phases. Where all sides are
    eager, rounds after the first are therefore as-run throughout, unless `arguments` say otherwise.

    Returns the exit status of the first failure, which ends the session, or 0; and the directories of the runs of
    the rounds that were finished. Raises UserError if another timed run is in progress.
    """
    session = session or secrets.token_hex(4)
    paths: list[Path] = []
    batches: int | None = None
    with hold_run_lock(session, allow_others=allow_busy), suppress(KeyboardInterrupt):
        for number in budget.rounds():
            processes: list[TurnProcess] = []
            with _all_ended(processes):
                processes += _start(arguments, session, number, pythons)
                batches = _play(processes, budget, batches, partial(_show_round, show, budget, number))
            if failed := [(process.name, process.status) for process in processes if process.status]:
                # A side that failed is the cause; the others have been interrupted.
                name, status = min(failed, key=lambda side: side[1] in (INTERRUPTED, TERMINATED))
                _explain(name, status)
                return status, paths
            paths += [process.path for process in processes if process.path is not None]
            if number == 1 and not any(map(_is_fenced_for_its_work, paths)):
                arguments = {name: [*NO_FENCES, *words] for name, words in arguments.items()}
        return 0, paths
    return INTERRUPTED, paths


def _is_fenced_for_its_work(path: Path) -> bool:
    """Whether fences may tell where a run's work is done: on a lazy device."""
    return Phase.FLUSH in read_header(path).manifest.framework.phases


def _show_round(show: Callable[[str], None], budget: Budget, number: int, text: str) -> None:
    show(budget.describe(number, text))


def _start(
    arguments: Mapping[str, Sequence[str]], session: str, number: int, pythons: Mapping[str, str]
) -> list[TurnProcess]:
    """The processes of a round, in its order."""
    names = alternating_order(list(arguments), number)[-len(arguments) :]
    place = ["--session", session, "--round", str(number), "--order", ",".join(names)]
    return [
        TurnProcess(
            name,
            [*arguments[name], *place, "--turn", str(turn)],
            python=pythons.get(name, sys.executable),
        )
        for turn, name in enumerate(names, start=1)
    ]


def _play(
    processes: Sequence[TurnProcess], budget: Budget, batches: int | None, show: Callable[[str], None]
) -> int | None:
    """Play one round once all processes are ready. Returns the number of test batches that they evaluate on."""
    ready = [report for process in processes if (report := process.wait_until_ready()) is not None]
    if len(ready) < len(processes):
        return batches
    one = Round(processes, ready, budget.deadline(), batches, show=show)
    one.play()
    return one.batches


@contextmanager
def _all_ended(processes: Sequence[TurnProcess]) -> Iterator[None]:
    """On exit, all `processes` have ended. SIGTERM is passed on; Ctrl-C reaches the whole process group by itself."""

    def terminate(signum: int, frame: object) -> None:
        for process in processes:
            process.terminate()

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt:
        pass  # the processes have been interrupted as well: their exit statuses tell
    finally:
        for process in processes:
            process.wait()
        signal.signal(signal.SIGTERM, before)


def run_process(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[int, Path | None]:
    """The exit status of `run` in a process of its own, and the run's directory if it created one.

    SIGTERM is passed on; Ctrl-C reaches the whole process group by itself. Either way, this function returns
    only after the child has ended its run.
    """
    command = [sys.executable, "-m", "epoch_gap.profiler", "run", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        before = signal.signal(signal.SIGTERM, lambda signum, frame: process.terminate())
        try:
            output, _ = process.communicate()
        except KeyboardInterrupt:
            output, _ = process.communicate()
        finally:
            signal.signal(signal.SIGTERM, before)
    lines = output.splitlines()
    return process.returncode, Path(lines[-1]) if lines else None

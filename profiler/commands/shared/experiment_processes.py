"""The processes of a session of experiments: each a fresh one, so that none keeps anything from another."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from epoch_gap.profiler.commands.shared.rounds import Budget
from epoch_gap.profiler.commands.shared.sessions import run_process, run_rounds
from epoch_gap.profiler.errors import UserError


class Processes(Protocol):
    """How a session executes its runs."""

    def run(self, words: Sequence[str]) -> tuple[int, Path | None]:
        """The verb `run`: its exit status, and the directory of the run."""

    def rounds(self, sides: Mapping[str, Sequence[str]], seconds: float, session: str) -> tuple[int, list[Path]]:
        """The verb `run` for each side, in rounds that take turns: the exit status, and the runs of whole rounds."""

    def drill_down(self, words: Sequence[str]) -> int:
        """A verb that stores a drill-down: its exit status."""

    def ratios(self, words: Sequence[str]) -> list[float]:
        """The times of two variants in isolation, new over present. Raises UserError."""


class FreshProcesses:
    """Processes of this program."""

    def __init__(self, allow_busy: bool, show: Callable[[str], None]) -> None:
        self._allow_busy, self._show = allow_busy, show

    def run(self, words: Sequence[str]) -> tuple[int, Path | None]:
        """The verb `run`."""
        return run_process(words)

    def rounds(self, sides: Mapping[str, Sequence[str]], seconds: float, session: str) -> tuple[int, list[Path]]:
        """At least three rounds, and more while they fit into `seconds`."""
        return run_rounds(sides, Budget(seconds), self._allow_busy, self._show, session)

    def drill_down(self, words: Sequence[str]) -> int:
        """A verb that prints nothing of interest."""
        command = [sys.executable, "-m", "epoch_gap.profiler", *words]
        return subprocess.run(command, stdout=subprocess.DEVNULL).returncode

    def ratios(self, words: Sequence[str]) -> list[float]:
        """The last line that the process prints."""
        command = [sys.executable, "-m", "epoch_gap.profiler.commands.shared.isolated_process", *words]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if output.returncode:
            raise UserError("the two variants could not be timed in isolation")
        return [float(ratio) for ratio in json.loads(output.stdout.splitlines()[-1])]

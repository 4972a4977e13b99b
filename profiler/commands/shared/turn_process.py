"""A `run` process that takes turns with others: the session's end of its pipes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from epoch_gap.profiler.commands.shared.turns import Command, Report, to_line


class TurnProcess:
    """One process of the interpreter `python`, started at once; a `Side` of a round.

    Its standard output is kept, for the run's directory.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        self.name = name
        self.setup_seconds = 0.0
        self._started = time.monotonic()
        read_commands, write_commands = os.pipe()
        read_reports, write_reports = os.pipe()
        theirs = (read_commands, write_reports)
        command = [python, "-m", "epoch_gap.profiler", "run", *arguments, "--turns", "{},{}".format(*theirs)]
        try:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, pass_fds=theirs, env=environment
            )
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._commands, self._reports = os.fdopen(write_commands, "w"), os.fdopen(read_reports)
        self.status: int | None = None
        self.path: Path | None = None

    def wait_until_ready(self) -> Report | None:
        """The report before the first step; None if the process has ended instead."""
        report = self._read()
        self.setup_seconds = time.monotonic() - self._started
        return report

    def take_turn(self, command: Command) -> Report | None:
        """Let the process compute until its turn is over; None if it has ended."""
        self._send(command)
        return self._read()

    def finish(self, command: Command) -> None:
        """Let the process end its run, and wait until it has ended."""
        self._send(command)
        self.wait()

    @property
    def has_failed(self) -> bool:
        """Whether the process has ended without completing its run."""
        return bool(self.status)

    def terminate(self) -> None:
        """Ask the process to end its run, as interrupted. Does not wait."""
        self._process.terminate()

    def wait(self) -> None:
        """Wait until the process has ended, and keep its exit status and the directory of its run."""
        if self.status is None:
            self._commands.close()  # a process that waits for a command ends
            output, _ = self._process.communicate()
            self._reports.close()
            lines = output.splitlines()
            self.path = Path(lines[-1]) if lines else None
            self.status = self._process.returncode

    def _send(self, command: Command) -> None:
        try:
            self._commands.write(to_line(command))
            self._commands.flush()
        except BrokenPipeError:
            pass  # it has ended: reading tells

    def _read(self) -> Report | None:
        line = self._reports.readline()
        if line:
            return Report(**json.loads(line))
        self.wait()
        return None

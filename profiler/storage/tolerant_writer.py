"""A run that is recorded beside somebody's training: whatever happens to its file, the training goes on."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from epoch_gap.profiler.recording.records import Epoch, Reading, Step
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.writer import RunWriter


class TolerantWriter:
    """Passes everything on to a writer until one call fails: then it warns once, and the rest is not recorded.

    A forked child that inherits it records nothing: the run belongs to the process that started it.
    """

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._has_failed = False
        self._process = os.getpid()

    @property
    def path(self) -> Path:
        """The run's directory."""
        return self._writer.path

    def steps(self, steps: list[Step]) -> None:
        """Append finished steps."""
        self._try(lambda: self._writer.steps(steps))

    def epoch(self, epoch: Epoch) -> None:
        """Append a finished epoch."""
        self._try(lambda: self._writer.epoch(epoch))

    def reading(self, epoch: int, step: int, reading: Reading) -> None:
        """Append a reading of the machine."""
        self._try(lambda: self._writer.reading(epoch, step, reading))

    def event(self, kind: str, text: str) -> None:
        """Append a note about the run."""
        self._try(lambda: self._writer.event(kind, text))

    def update(self, values: Mapping[str, Any]) -> None:
        """Add or replace manifest entries."""
        self._try(lambda: self._writer.update(values))

    def finish(self, status: RunStatus) -> None:
        """Write the final status if that is possible, close the file and release the lock."""
        if os.getpid() == self._process:
            with suppress(Exception):
                self._writer.finish(status)

    def _try(self, store: Callable[[], None]) -> None:
        if self._has_failed or os.getpid() != self._process:
            return
        try:
            store()
        except Exception as error:
            self._has_failed = True
            warn(f"{error}; the training goes on unrecorded")


def warn(text: str) -> None:
    """Print a warning beside somebody's training; stderr may be closed."""
    with suppress(OSError, ValueError, AttributeError):
        print(f"WARNING: {text}", file=sys.stderr, flush=True)

"""Printing: warnings, and output that survives a reader that closes the pipe early."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


def warn(text: str) -> None:
    """Print a warning to stderr."""
    print(f"warning: {text}", file=sys.stderr)


@contextmanager
def tolerate_closed_pipe() -> Iterator[None]:
    """Print within this context; output is dropped once the reader has closed the pipe."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Discard all further output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class ProgressLine:
    """One line that is replaced on a terminal; elsewhere a new line, at most every `EVERY` seconds."""

    EVERY = 10.0

    def __init__(self, stream: TextIO, is_quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._is_quiet, self._clock = stream, is_quiet, clock
        self._is_terminal, self._next = stream.isatty(), clock()

    def __call__(self, text: str) -> None:
        """Show `text`."""
        if self._is_quiet:
            return
        if self._is_terminal:
            print(f"\r\x1b[K{text}", end="", file=self._stream, flush=True)
        elif self._clock() >= self._next:
            print(text, file=self._stream, flush=True)
            self._next = self._clock() + self.EVERY

    def close(self) -> None:
        """Leave the line empty."""
        if self._is_terminal and not self._is_quiet:
            print("\r\x1b[K", end="", file=self._stream, flush=True)

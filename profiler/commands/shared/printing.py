"""Printing: warnings, and output that survives a reader that closes the pipe early."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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

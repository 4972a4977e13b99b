"""Exit statuses: 0, or why not; a reader of the output who leaves early is no reason."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

GATE_FAILED = 1
USAGE_ERROR = 2
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


@contextmanager
def output() -> Iterator[None]:
    """Print within; what nobody reads any more is dropped."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()


def drop_output() -> None:
    """Let what is still to be printed go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

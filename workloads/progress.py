"""The progress bar of the training loop (phase `logging`): tqdm, as in the article, with the estimated epoch time."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm


class Lines:
    """A stream that prints tqdm's bar as plain lines, one per `every` seconds at most, for a log file."""

    encoding = "utf-8"

    def __init__(self, out: TextIO, every: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._every, self._clock = out, every, clock
        self._next = clock() + every

    def write(self, text: str) -> None:
        """Print the bar that tqdm has drawn, if the next line is due."""
        line = text.strip()
        if line and self._clock() >= self._next:
            print(line, file=self._out, flush=True)
            self._next = self._clock() + self._every

    def flush(self) -> None:
        """Do nothing: lines are flushed when they are printed."""


class Progress:
    """One bar per epoch. The calls to tqdm do not depend on the stream."""

    def __init__(self, label: str, steps: int | None, full_steps: float, stream: Any) -> None:
        self._label, self._steps, self._full_steps, self._stream = label, steps, full_steps, stream
        self._bar: tqdm[Any] | None = None
        self._lr = 0.0

    def start(self, lr: float) -> None:
        """Start the bar of an epoch."""
        self._lr = lr
        self._bar = tqdm(total=self._steps, desc=self._label, leave=False, file=self._stream, dynamic_ncols=True)

    def update(self, loss: float, acc: float) -> None:
        """Count one step; `loss` and `acc` are averages over the epoch so far."""
        bar = self._bar
        assert bar is not None, "start() comes first"
        bar.update()
        per_step = bar.format_dict["elapsed"] / bar.n
        bar.set_postfix(loss=loss, acc=acc, lr=self._lr, epoch=f"~{per_step * self._full_steps:.0f}s")

    def close(self) -> None:
        """End the bar of the epoch."""
        assert self._bar is not None, "start() comes first"
        self._bar.close()


def stream(quiet: bool) -> tuple[str, Any]:
    """The stream of the bar: (its name in the run's conditions, the stream)."""
    if quiet:
        return "discarded", open(os.devnull, "w")  # noqa: PTH123 - lives as long as the process
    if sys.stderr.isatty():
        return "terminal", sys.stderr
    return "lines", Lines(sys.stderr)

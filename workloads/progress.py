"""tqdm, as in the article, with the running estimate of the full epoch. Part of the loop: phase `logging`."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm


class Lines:
    """A stream for output that is not a terminal: tqdm's bar as a plain line, at most every `every` seconds."""

    encoding = "utf-8"

    def __init__(self, out: TextIO, every: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._every, self._clock = out, every, clock
        self._next = clock() + every

    def write(self, text: str) -> None:
        """Take what tqdm draws; keep a drawing only when the next line is due."""
        line = text.strip()
        if line and self._clock() >= self._next:
            print(line, file=self._out, flush=True)
            self._next = self._clock() + self._every

    def flush(self) -> None:
        """Lines are flushed as they are written."""


class Progress:
    """One bar per epoch. The same tqdm calls are made wherever the bar is drawn to."""

    def __init__(self, label: str, steps: int | None, full_steps: float, stream: Any) -> None:
        self._label, self._steps, self._full_steps, self._stream = label, steps, full_steps, stream
        self._bar: tqdm[Any] | None = None
        self._lr = 0.0

    def start(self, lr: float) -> None:
        """Draw the bar of a new epoch."""
        self._lr = lr
        self._bar = tqdm(total=self._steps, desc=self._label, leave=False, file=self._stream, dynamic_ncols=True)

    def update(self, loss: float, acc: float) -> None:
        """One more step is done; `loss` and `acc` are the epoch's so far."""
        bar = self._bar
        assert bar is not None, "start() comes first"
        bar.update()
        per_step = bar.format_dict["elapsed"] / bar.n
        bar.set_postfix(loss=loss, acc=acc, lr=self._lr, epoch=f"~{per_step * self._full_steps:.0f}s")

    def close(self) -> None:
        """End the epoch's bar."""
        assert self._bar is not None, "start() comes first"
        self._bar.close()


def stream(quiet: bool) -> tuple[str, Any]:
    """Where the bar goes: (what to call it in the run's conditions, the stream)."""
    if quiet:
        return "discarded", open(os.devnull, "w")  # noqa: PTH123 - lives as long as the process
    if sys.stderr.isatty():
        return "terminal", sys.stderr
    return "lines", Lines(sys.stderr)

"""Times of layers and operators within a step, each without what is nested in it, so that they add up.

Standard library only, like the recorder. An adapter opens a span before a layer or an operator and closes it when its
work is done; on a lazy device it waits for the results first.
"""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Clock


class Direction(StrEnum):
    """Which way through the network."""

    FORWARD = "forward"
    BACKWARD = "backward"


class Family(StrEnum):
    """Kinds of operators, common to all frameworks."""

    CONVOLUTION = "convolution"
    NORMALISATION = "normalisation"
    ACTIVATION = "activation"
    POOLING = "pooling"
    LINEAR = "linear"
    LOSS = "loss"
    ELEMENTWISE = "elementwise"
    OPTIMIZER = "optimizer"
    DATA = "data movement"
    OTHER = "Python overhead and other"


class Key(NamedTuple):
    """What a span's time belongs to."""

    direction: Direction
    layer: str
    """canonical name"""
    operator: str
    """the framework's own name; empty for what a layer does besides its operators"""


class Spans:
    """Self times by layer and operator; one entry per step that was closed."""

    def __init__(self, clock: Clock = time.perf_counter_ns) -> None:
        self.mark: Callable[[Phase], None] = lambda phase: None
        """ends a phase, where a framework goes through several in one call: the recorder's, if there is one"""
        self._clock = clock
        self._open: list[tuple[Key, int, int]] = []
        """(what, when it was opened, ns of what was nested in it)"""
        self._step: dict[Key, int] = {}
        self.steps: list[dict[Key, int]] = []
        self.totals: dict[Key, int] = {}
        """what is known only of all watched steps together"""

    @property
    def layer(self) -> str:
        """The layer of the innermost open span, or an empty string."""
        return self._open[-1][0].layer if self._open else ""

    def open(self, direction: Direction, layer: str, operator: str = "") -> None:
        """Begin here."""
        self._open.append((Key(direction, layer, operator), self._clock(), 0))

    def close(self) -> None:
        """End the innermost span here."""
        now = self._clock()
        key, start, nested = self._open.pop()
        whole = now - start
        self._step[key] = self._step.get(key, 0) + whole - nested
        if self._open:
            outer, began, inside = self._open[-1]
            self._open[-1] = (outer, began, inside + whole)

    def add_total(self, key: Key, ns: int) -> None:
        """Add time of all watched steps together, measured elsewhere."""
        self.totals[key] = self.totals.get(key, 0) + ns

    def end_step(self) -> None:
        """Put what was collected since the last call into `steps`."""
        self.steps.append(self._step)
        self._step = {}

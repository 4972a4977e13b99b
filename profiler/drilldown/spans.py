"""Self times of layers and operators within a step: nested time is counted once, so that the times add up.

Standard library only, like the recorder. An adapter opens a span before a layer or an operator and closes it when the
work is done; on a lazy device it waits for the results first.
"""

import time
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Clock


class Direction(StrEnum):
    """The direction of a pass through the network."""

    FORWARD = "forward"
    BACKWARD = "backward"


class OperatorCategory(StrEnum):
    """Categories of operators, common to all frameworks."""

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
    """Identifies a span."""

    direction: Direction
    layer: str
    """canonical name"""
    operator: str
    """the framework's name; empty for the time of a layer outside its operators"""


class Spans:
    """Collects self times by layer and operator, step by step. Times in nanoseconds of `clock`."""

    def __init__(self, clock: Clock = time.perf_counter_ns) -> None:
        self.mark: Callable[[Phase], None] = lambda phase: None
        """ends a phase of a framework that runs several phases in one call; set to the recorder's mark"""
        self._clock = clock
        self._open: list[tuple[Key, int, int]] = []
        """(key, start, nested time) of the open spans, outermost first"""
        self._step: dict[Key, int] = {}
        self.steps: list[dict[Key, int]] = []
        """self time by key, one entry per finished step"""
        self.totals: dict[Key, int] = {}
        """times that are known only as a sum over all watched steps"""

    @property
    def layer(self) -> str:
        """The layer of the innermost open span, or an empty string."""
        return self._open[-1][0].layer if self._open else ""

    def open(self, direction: Direction, layer: str, operator: str = "") -> None:
        """Start a span now."""
        self._open.append((Key(direction, layer, operator), self._clock(), 0))

    def close(self) -> None:
        """End the innermost span now."""
        now = self._clock()
        key, start, nested = self._open.pop()
        duration = now - start
        self._step[key] = self._step.get(key, 0) + duration - nested
        if self._open:
            outer, outer_start, outer_nested = self._open[-1]
            self._open[-1] = (outer, outer_start, outer_nested + duration)

    def add_total(self, key: Key, ns: int) -> None:
        """Add the time of a key over all watched steps, measured elsewhere."""
        self.totals[key] = self.totals.get(key, 0) + ns

    def end_step(self) -> None:
        """Finish a step: append the spans since the previous call to `steps`."""
        self.steps.append(self._step)
        self._step = {}

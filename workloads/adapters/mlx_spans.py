"""Times of MLX's layers: each waits for its result going forward, and is bounded within the graph going backward.

MLX computes loss and gradients in one call. Before and after each layer stands an identity with a gradient of its
own (`mx.custom_function`), which MLX calls on the way back. The one after a layer waits for what comes in and opens
the layer's span; the one before waits for the gradients of the layer's inputs and weights and closes it. Nothing is
computed twice, and the gradients are the same.
"""

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

from epoch_gap.profiler.drilldown.spans import Direction, Spans
from epoch_gap.profiler.phases import Phase

Run = Callable[..., mx.array]
"""(layer's name, function, arrays) -> its result; lets a drill-down watch each layer"""
LOSS = "loss"


def plainly(name: str, function: Run, *arrays: mx.array) -> mx.array:
    """Run a layer with nothing watched."""
    return function(*arrays)


class Watching:
    """Reports each layer of a training step to `spans`: as it runs, and when its gradients are computed.

    MLX's one call goes through two phases, so the loss ends `forward` and the first layer's gradients `backward`.
    """

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._results: list[mx.array] = []
        """of this step's layers: arrays that need gradients, unlike images and labels"""

    def __call__(self, name: str, function: Run, *arrays: mx.array) -> mx.array:
        """As `Run`."""
        self._spans.open(Direction.FORWARD, name, name)
        result = self._bounded(name, function, arrays)
        mx.eval(result)
        self._spans.close()
        self._results.append(result)
        if name == LOSS:
            self._results.clear()
            self._spans.mark(Phase.FORWARD)
        return result

    def _bounded(self, name: str, function: Run, arrays: tuple[mx.array, ...]) -> mx.array:
        def opens() -> None:
            self._spans.open(Direction.BACKWARD, name, name)

        def closes() -> None:
            self._spans.close()
            if not any(needed):
                self._spans.mark(Phase.BACKWARD)

        needed = [any(array is result for result in self._results) for array in arrays]
        layer: Any = function if isinstance(function, nn.Module) else nn.Module()
        weights = tree_flatten(layer.trainable_parameters())
        inputs = [array for array, yes in zip(arrays, needed, strict=True) if yes]
        entered = iter(_boundary(closes)(*inputs, *(array for _, array in weights)))
        arrays = tuple(next(entered) if yes else array for array, yes in zip(arrays, needed, strict=True))
        layer.update(tree_unflatten([(path, next(entered)) for path, _ in weights]))
        result = function(*arrays)
        layer.update(tree_unflatten(weights))
        left: mx.array = _boundary(opens)(result)[0]
        return left


def _boundary(passed: Callable[[], None]) -> Callable[..., Any]:
    """The identity of some arrays, as a tuple; on the way back it waits for their gradients and calls `passed`."""

    @mx.custom_function
    def same(*arrays: mx.array) -> tuple[mx.array, ...]:
        return arrays

    @same.vjp
    def back(arrays: Any, gradients: Any, results: Any) -> Any:
        mx.eval(gradients)
        passed()
        return gradients

    return same

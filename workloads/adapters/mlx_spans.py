"""Times of MLX's layers: a wait for each result in the forward pass, boundaries in the graph for the backward pass.

MLX computes loss and gradients in one call. An identity function with a custom gradient (`mx.custom_function`) sits
before and after each layer, and MLX calls the gradients on the way back. The function after a layer waits for the
incoming gradient and opens the span of the layer; the function before it waits for the gradients of the layer's
inputs and weights and closes the span. Nothing is computed twice, and the gradients are the same.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

from epoch_gap.profiler.drilldown.spans import Direction, OperatorCategory, Spans
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.architecture import Architecture

RunLayer = Callable[..., mx.array]
"""(layer's name, function, arrays) -> the result of the layer"""
LOSS = "loss"


def run_unwatched(name: str, function: Callable[..., mx.array], *arrays: mx.array) -> mx.array:
    """Run a layer, as `RunLayer`."""
    return function(*arrays)


class Model(Protocol):
    """A network that runs every layer through a function that can be replaced."""

    architecture: Architecture
    run_layer: RunLayer


class MlxLayerTimings:
    """`LayerTimings` of a network in mlx_network.py. The operators of MLX are the layers."""

    operators = None
    peak_rates = None

    def __init__(self, model: Model) -> None:
        self._model = model

    @contextmanager
    def layers(self, spans: Spans) -> Iterator[None]:
        self._model.run_layer = _WatchedRun(spans)
        try:
            yield
        finally:
            self._model.run_layer = run_unwatched

    def category(self, operator: str) -> OperatorCategory:
        categories = {layer.name: layer.category for layer in self._model.architecture.layers()}
        return categories.get(operator, OperatorCategory.OTHER)


class _WatchedRun:
    """A `RunLayer` that reports each layer of a training step to `spans`, forward and backward.

    MLX's single call spans two phases: the loss ends `forward`, the gradients of the first layer end `backward`.
    """

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._results: list[mx.array] = []
        """results of the step's layers: the arrays that need gradients, unlike images and labels"""

    def __call__(self, name: str, function: Callable[..., mx.array], *arrays: mx.array) -> mx.array:
        self._spans.open(Direction.FORWARD, name, name)
        result = self._bounded(name, function, arrays)
        mx.eval(result)
        self._spans.close()
        self._results.append(result)
        if name == LOSS:
            self._results.clear()
            self._spans.mark(Phase.FORWARD)
        return result

    def _bounded(self, name: str, function: Callable[..., mx.array], arrays: tuple[mx.array, ...]) -> mx.array:
        """The result of a layer between two boundaries, which time its backward pass."""

        def open_span() -> None:
            self._spans.open(Direction.BACKWARD, name, name)

        def close_span() -> None:
            self._spans.close()
            if not any(needed):
                self._spans.mark(Phase.BACKWARD)

        needed = [any(array is result for result in self._results) for array in arrays]
        layer: Any = function if isinstance(function, nn.Module) else nn.Module()
        weights = tree_flatten(layer.trainable_parameters())
        inputs = [array for array, needs_gradient in zip(arrays, needed, strict=True) if needs_gradient]
        bounded = iter(_boundary(close_span)(*inputs, *(array for _, array in weights)))
        arrays = tuple(
            next(bounded) if needs_gradient else array for array, needs_gradient in zip(arrays, needed, strict=True)
        )
        layer.update(tree_unflatten([(path, next(bounded)) for path, _ in weights]))
        try:
            result = function(*arrays)
        finally:
            layer.update(tree_unflatten(weights))
        output: mx.array = _boundary(open_span)(result)[0]
        return output


def _boundary(on_backward: Callable[[], None]) -> Callable[..., Any]:
    """The identity of several arrays, as a tuple; its backward pass waits for the gradients, then calls back."""

    @mx.custom_function
    def same(*arrays: mx.array) -> tuple[mx.array, ...]:
        return arrays

    @same.vjp
    def back(arrays: Any, gradients: Any, results: Any) -> Any:
        mx.eval(gradients)
        on_backward()
        return gradients

    return same

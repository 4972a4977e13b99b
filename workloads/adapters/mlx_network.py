"""Native MLX: a network built from mlx.nn by its description."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from epoch_gap.workloads.adapters.mlx_spans import RunLayer, run_unwatched
from epoch_gap.workloads.architecture import (
    Activation,
    Add,
    Architecture,
    BatchNorm,
    Conv,
    GlobalPool,
    Linear,
    Operation,
    Pool,
)

Function = Callable[..., mx.array]


class Network(nn.Module):  # type: ignore[misc]
    """A described network; images (B, rows, columns, 3), logits (B, 10)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.run_layer: RunLayer = run_unwatched
        functions = {operation.name: _function(operation, architecture) for operation in architecture.operations}
        self.layers = [functions[name] for name in self._names()]
        """those with parameters, which MLX finds here"""
        self._compute = _Composition(architecture, functions)

    def __call__(self, x: mx.array) -> mx.array:
        return self._compute(x, self.run_layer)

    def named_layers(self) -> Iterator[tuple[str, Any]]:
        """(canonical name, layer) of each layer that has parameters."""
        return zip(self._names(), self.layers, strict=True)

    def canonical(self, path: str) -> str:
        """The canonical name of a parameter: `layers.0.weight` -> `stem.conv.weight`."""
        _, number, *kind = path.split(".")
        return ".".join([self._names()[int(number)], *kind])

    def _names(self) -> list[str]:
        operations = self.architecture.operations
        return [operation.name for operation in operations if isinstance(operation, Conv | BatchNorm | Linear)]


class _Composition:
    """The operations in order, each with its function; no container, in which MLX would look for parameters."""

    def __init__(self, architecture: Architecture, functions: Mapping[str, Function]) -> None:
        self._architecture, self._functions = architecture, functions

    def __call__(self, x: mx.array, run: RunLayer) -> mx.array:
        def compute(operation: Operation, *inputs: mx.array) -> mx.array:
            return run(operation.name, self._functions[operation.name], *inputs)

        logits: mx.array = self._architecture.run(x, compute)
        return logits


def _function(operation: Operation, architecture: Architecture) -> Function:
    """The layer of mlx.nn, or a function."""
    function: Function
    match operation:
        case Conv():
            size = operation.kernel, operation.stride, operation.padding
            function = nn.Conv2d(operation.inputs, operation.out, *size, bias=operation.has_bias)
        case BatchNorm():
            function = nn.BatchNorm(operation.channels)
        case Activation():
            function = {"relu": nn.relu, "tanh": mx.tanh}[operation.function]
        case Pool():
            kind = {"max": nn.MaxPool2d, "mean": nn.AvgPool2d}[operation.function]
            function = kind(operation.kernel, operation.stride, operation.padding)
        case GlobalPool():
            function = _mean_of_channels
        case Add():
            function = mx.add
        case Linear():
            takes_images = len(architecture.shapes()[operation.sources[0]]) > 1
            function = (_LinearOfImages if takes_images else nn.Linear)(operation.inputs, operation.out)
    return function


class _LinearOfImages(nn.Linear):  # type: ignore[misc]
    """A linear layer of images (B, rows, columns, C), whose numbers it takes in the order channels, rows, columns."""

    def __call__(self, x: mx.array) -> mx.array:
        output: mx.array = super().__call__(x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1))
        return output


def _mean_of_channels(x: mx.array) -> mx.array:
    return x.mean(axis=(1, 2))

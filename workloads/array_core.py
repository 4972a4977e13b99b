"""A functional core for frameworks whose arrays are used like NumPy's: the network and Adam are written once.

An adapter adds what has no common spelling: arrays from NumPy, the convolution, the loss, and the gradients.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
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
from epoch_gap.workloads.array_parity import ArrayParity
from epoch_gap.workloads.framework import ParityAccess, Tensor, Weights
from epoch_gap.workloads.functional import FunctionalCore, State, Training
from epoch_gap.workloads.optimizer import ADAM

MOMENTUM, EPSILON = 0.1, 1e-5
"""of batch normalisation, and below of Adam: PyTorch's defaults"""
ADAM_EPSILON = 1e-8


class Moments(NamedTuple):
    """The state of Adam."""

    steps: Tensor
    means: Mapping[str, Tensor]
    """of the gradients, by name of the parameter"""
    squares: Mapping[str, Tensor]


class ForwardPass(NamedTuple):
    """The result of the network."""

    logits: Tensor
    statistics: Mapping[str, Tensor]
    """the running statistics after it"""
    outputs: Mapping[str, Tensor]
    """of every layer, if the core keeps them for `parity`; otherwise empty"""


class ArrayCore(FunctionalCore):
    """The network by operations on arrays; images are (B, channels, rows, columns), kernels (out, in, rows, columns).

    The state's weights and statistics are dicts of arrays by canonical name.
    """

    adam = ADAM
    keeps_outputs = False
    outputs: Mapping[str, Tensor] = {}
    """of the last pass in which they were kept"""

    def __init__(self, device: str, architecture: Architecture) -> None:
        """Raises UserError for a network that needs a function that the class lacks."""
        super().__init__(device, architecture)
        is_lacking = type(self).max_pool is ArrayCore.max_pool
        if is_lacking and any(isinstance(o, Pool) and o.function == "max" for o in architecture.operations):
            name = type(self).__name__
            raise UserError(f"{name} has no max_pool, which {architecture.title} needs for images of this size")

    @abstractmethod
    def array(self, values: NDArray[np.float32]) -> Tensor:
        """A new array with these values."""

    @abstractmethod
    def conv(self, x: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
        """The convolution of x with a kernel, with zeros around the images."""

    @abstractmethod
    def relu(self, x: Tensor) -> Tensor:
        """max(x, 0)."""

    @abstractmethod
    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy of logits (B, classes) and labels (B,)."""

    def tanh(self, x: Tensor) -> Tensor:
        """The hyperbolic tangent."""
        return x.tanh()

    def max_pool(self, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
        """The maximum of each window; what is around the images is never one. ResNets need it for large images."""
        raise NotImplementedError

    def mean_pool(self, x: Tensor, kernel: int) -> Tensor:
        """The mean of each window of kernel x kernel; rows and columns after the last whole window do not count."""
        rows, columns = x.shape[2] // kernel, x.shape[3] // kernel
        whole = x[:, :, : rows * kernel, : columns * kernel]
        return whole.reshape(x.shape[0], x.shape[1], rows, kernel, columns, kernel).mean((3, 5))

    def sqrt(self, x: Tensor) -> Tensor:
        """The square root."""
        return x**0.5

    def detach(self, x: Tensor) -> Tensor:
        """`x` as a constant, for frameworks that would otherwise keep the graph that it came from."""
        return x

    def init(self, weights: Weights) -> State:
        """Arrays of NumPy's weights, statistics of 0 and 1, moments of 0."""
        channels = {name.removesuffix(".weight"): len(a) for name, a in weights.items() if _is_scale(name, a)}
        statistics = {
            f"{layer}.{name}": self.array(np.full(count, start, np.float32))
            for layer, count in channels.items()
            for name, start in (("running_mean", 0.0), ("running_var", 1.0))
        }
        means, squares = (
            {name: self.array(np.zeros(a.shape, np.float32)) for name, a in weights.items()} for _ in range(2)
        )
        moments = Moments(self.array(np.zeros((), np.float32)), means, squares)
        return State({name: self.array(a) for name, a in weights.items()}, statistics, moments)

    def forward(self, state: State, weights: Mapping[str, Tensor], images: Tensor, training: bool) -> ForwardPass:
        """The network, with `weights` in place of the state's."""
        layers = Layers(self, weights, dict(state.statistics), training)
        logits = self.architecture.run(images, layers.compute)
        return ForwardPass(logits, layers.statistics, layers.outputs)

    def loss(
        self, state: State, inputs: Tensor, targets: Tensor, training: bool, weights: Mapping[str, Tensor]
    ) -> tuple[Tensor, ForwardPass]:
        """The mean loss as a function of the weights, and the pass that led to it."""
        done = self.forward(state, weights, inputs, training)
        return self.cross_entropy(done.logits, targets), done

    def normalise(
        self, layer: str, weights: Mapping[str, Tensor], statistics: Mapping[str, Tensor], x: Tensor
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The result of one batch normalisation in training mode, and the running statistics after it."""
        layers = Layers(self, weights, dict(statistics), True)
        return layers.batch_norm(layer, x), layers.statistics

    def after(self, state: State, done: ForwardPass) -> State:
        """The state with the running statistics of a pass in training mode."""
        if self.keeps_outputs:
            self.outputs = done.outputs
        return state._replace(statistics=done.statistics)

    def evaluate(self, state: State, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The network in evaluation mode and its loss, without gradients."""
        loss, done = self.loss(state, inputs, targets, False, state.weights)
        return loss, done.logits

    def update(self, state: State, gradients: Mapping[str, Tensor], lr: float) -> State:
        """Adam by operations on arrays, parameter by parameter."""
        steps = state.optimizer.steps + 1
        (beta1, beta2), decay = self.adam.betas, self.adam.weight_decay
        rate, correction = lr / (1 - beta1**steps), self.sqrt(1 - beta2**steps)
        weights, means, squares = {}, {}, {}
        for name, weight in state.weights.items():
            gradient = gradients[name] + decay * weight
            means[name] = beta1 * state.optimizer.means[name] + (1 - beta1) * gradient
            squares[name] = beta2 * state.optimizer.squares[name] + (1 - beta2) * gradient * gradient
            weights[name] = weight - rate * means[name] / (self.sqrt(squares[name]) / correction + ADAM_EPSILON)
        return State(weights, state.statistics, Moments(steps, means, squares))

    def parity(self, training: Training) -> ParityAccess | None:
        """Full access: every layer's output passes through this class."""
        return ArrayParity(self, training)

    def conditions(self) -> Mapping[str, Any]:
        """The layout."""
        return {"layout": "NCHW"}


def _is_scale(name: str, values: NDArray[Any]) -> bool:
    """Whether a parameter is the scale of a batch normalisation."""
    return name.endswith(".weight") and values.ndim == 1


@dataclass
class Layers:
    """The layers of one pass through the network."""

    core: ArrayCore
    weights: Mapping[str, Tensor]
    statistics: dict[str, Tensor]
    """the running statistics, which a pass in training mode replaces"""
    training: bool
    outputs: dict[str, Tensor] = field(default_factory=dict)

    def compute(self, operation: Operation, x: Tensor, *more: Tensor) -> Tensor:
        """The result of one operation."""
        result = self._compute(operation, x, *more)
        if self.core.keeps_outputs:
            self.outputs[operation.name] = result
        return result

    def _compute(self, operation: Operation, x: Tensor, *more: Tensor) -> Tensor:
        name, core = operation.name, self.core
        match operation:
            case Conv():
                result = core.conv(x, self.weights[f"{name}.weight"], operation.stride, operation.padding)
                return result + _per_channel(self.weights[f"{name}.bias"]) if operation.has_bias else result
            case BatchNorm():
                return self.batch_norm(name, x)
            case Activation():
                return core.relu(x) if operation.function == "relu" else core.tanh(x)
            case Pool() if operation.function == "max":
                return core.max_pool(x, operation.kernel, operation.stride, operation.padding)
            case Pool():
                return core.mean_pool(x, operation.kernel)
            case Add():
                return x + more[0]
            case GlobalPool():
                return x.mean((2, 3))
            case Linear():
                rows = x if len(x.shape) == 2 else x.reshape(x.shape[0], -1)
                return rows @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def batch_norm(self, name: str, x: Tensor) -> Tensor:
        """x normalised per channel, by its own moments in training mode and by the running ones otherwise."""
        scale, shift = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        if self.training:
            mean = x.mean((0, 2, 3))
            centred = x - _per_channel(mean)
            variance = (centred * centred).mean((0, 2, 3))
            self._follow(name, self.core.detach(mean), self.core.detach(variance), prod(x.shape) // x.shape[1])
        else:
            centred = x - _per_channel(self.statistics[f"{name}.running_mean"])
            variance = self.statistics[f"{name}.running_var"]
        return centred * _per_channel(scale / self.core.sqrt(variance + EPSILON)) + _per_channel(shift)

    def _follow(self, name: str, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch; the variance is the unbiased one, as in PyTorch."""
        unbiased = variance * (count / max(1, count - 1))
        for statistic, value in ((f"{name}.running_mean", mean), (f"{name}.running_var", unbiased)):
            self.statistics[statistic] = (1 - MOMENTUM) * self.statistics[statistic] + MOMENTUM * value


def _per_channel(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1)

"""What a transplant passes between two frameworks: an operation's forward and backward pass on NumPy arrays."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Geometry(NamedTuple):
    """The settings of a convolution, per spatial axis."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


class Convolution(NamedTuple):
    """Convolution of inputs (B, C, rows, columns) with weights (out, C / groups, rows, columns)."""

    forward: Callable[[Array, Array, Geometry], Array]
    """(inputs, weights, geometry) -> outputs"""
    backward: Callable[[Array, Array, Array, Geometry, bool], tuple[Array | None, Array]]
    """(gradient of outputs, inputs, weights, geometry, whether the inputs need a gradient) -> both gradients"""


class BatchNorm(NamedTuple):
    """Batch normalisation of inputs (B, C, rows, columns) by the batch's own statistics."""

    forward: Callable[[Array, Array, Array, float], tuple[Array, Array, Array, Any]]
    """(inputs, scale, shift, epsilon) -> outputs, mean (C,), biased variance (C,), and what `backward` needs"""
    backward: Callable[[Array, Array, Array, Any, float], tuple[Array, Array, Array]]
    """(gradient of outputs, inputs, scale, kept, epsilon) -> gradients of inputs, scale, shift"""


class Activation(NamedTuple):
    """A function of each number."""

    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]
    """(gradient of outputs, outputs) -> gradient of inputs"""

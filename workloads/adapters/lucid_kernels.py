"""Lucid's convolution on NumPy arrays, a strided view and a tensordot, to be used inside another framework."""

import numpy as np

from epoch_gap.workloads.adapters.lucid_import import prepare
from epoch_gap.workloads.transplant import Array, Convolution, Geometry

prepare()  # before the first import of Lucid: hence E402 below

from lucid.nn._kernel import conv  # noqa: E402


def _convolve(inputs: Array, weights: Array, geometry: Geometry) -> Array:
    outputs: Array = conv._conv_forward(np, inputs, weights, *geometry)
    return outputs


def _convolve_backward(
    gradient: Array, inputs: Array, weights: Array, geometry: Geometry, needs_inputs: bool
) -> tuple[Array | None, Array]:
    """Both gradients, as in Lucid, which computes that of the images, too."""
    stride, padding, dilation, groups = geometry
    padded = conv._pad_input(np, inputs, padding)
    of_inputs = conv._conv_backward_input(np, gradient, weights, padded, *geometry)
    of_weights = conv._conv_backward_weight(np, gradient, padded, weights, stride, dilation, groups)
    return of_inputs, of_weights


CONVOLUTION = Convolution(_convolve, _convolve_backward)

"""PyTorch's operations on NumPy arrays, on the CPU and without copies, to be used inside another framework."""

from typing import Any

import torch

from epoch_gap.workloads.transplant import Activation, Array, BatchNorm, Convolution, Geometry

_aten: Any = torch.ops.aten


def _tensor(array: Array) -> torch.Tensor:
    """A tensor over the array's memory. PyTorch has no tensors that must not be written to: those are copied."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _convolve(inputs: Array, weights: Array, geometry: Geometry) -> Array:
    with torch.no_grad():
        outputs: torch.Tensor = torch.conv2d(_tensor(inputs), _tensor(weights), None, *geometry)
    return outputs.numpy()


def _convolve_backward(
    gradient: Array, inputs: Array, weights: Array, geometry: Geometry, needs_inputs: bool
) -> tuple[Array | None, Array]:
    stride, padding, dilation, groups = geometry
    tensors = map(_tensor, (gradient, inputs, weights))
    of_inputs, of_weights, _ = _aten.convolution_backward(
        *tensors, None, stride, padding, dilation, False, [0, 0], groups, [needs_inputs, True, False]
    )
    return of_inputs.numpy() if needs_inputs else None, of_weights.numpy()


def _normalise(
    inputs: Array, scale: Array, shift: Array, epsilon: float
) -> tuple[Array, Array, Array, tuple[torch.Tensor, torch.Tensor]]:
    outputs, mean, inverse_deviation = _aten.native_batch_norm(
        *map(_tensor, (inputs, scale, shift)), None, None, True, 0.0, epsilon
    )
    variance = inverse_deviation**-2 - epsilon
    return outputs.numpy(), mean.numpy(), variance.numpy(), (mean, inverse_deviation)


def _normalise_backward(
    gradient: Array, inputs: Array, scale: Array, kept: tuple[torch.Tensor, torch.Tensor], epsilon: float
) -> tuple[Array, Array, Array]:
    gradients = _aten.native_batch_norm_backward(
        *map(_tensor, (gradient, inputs, scale)), None, None, *kept, True, epsilon, [True, True, True]
    )
    of_inputs, of_scale, of_shift = (tensor.numpy() for tensor in gradients)
    return of_inputs, of_scale, of_shift


def _rectify(inputs: Array) -> Array:
    return torch.relu(_tensor(inputs)).numpy()


def _rectify_backward(gradient: Array, outputs: Array) -> Array:
    of_inputs: torch.Tensor = _aten.threshold_backward(_tensor(gradient), _tensor(outputs), 0)
    return of_inputs.numpy()


CONVOLUTION = Convolution(_convolve, _convolve_backward)
BATCH_NORM = BatchNorm(_normalise, _normalise_backward)
RELU = Activation(_rectify, _rectify_backward)

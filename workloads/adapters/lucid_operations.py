"""Lucid's operations on the CPU with another computation inside. Lucid's graph, and all other operations, stay."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from lucid._backend.core import func_op
from lucid._func.bfunc import maximum
from lucid._tensor import Tensor
from lucid.nn._kernel.conv import conv_nd_kernel
from lucid.nn._kernel.norm import batch_norm_kernel

from epoch_gap.workloads.intervention import Undo, replace_attribute
from epoch_gap.workloads.transplant import Activation, BatchNorm, Convolution, Geometry


def transplant_convolution(convolution: Convolution) -> Undo:
    """Compute Lucid's convolutions by `convolution`."""

    def gradients(operation: Any, a: Any, b: Any, geometry: Geometry) -> Any:
        return convolution.backward(operation.result.grad, a.data, b.data, geometry, a.requires_grad)

    def cpu(self: Any, a: Any, b: Any) -> Any:
        stride, padding, dilation = self._normalize(b)
        geometry = Geometry(stride, padding, dilation, self.groups)
        self.result = Tensor(convolution.forward(a.data, b.data, geometry))
        return self.result, partial(gradients, self, a, b, geometry)

    return replace_attribute(conv_nd_kernel, "cpu", func_op(n_in=2, n_ret=1)(cpu))


def copy_convolutions() -> Undo:
    """Copy what Lucid's convolutions return, transposed views, into arrays in the order of their axes."""
    before: Callable[..., Any] = conv_nd_kernel.cpu

    def cpu(self: Any, *tensors: Any) -> Any:
        result = before(self, *tensors)
        result.data = np.ascontiguousarray(result.data)
        return result

    return replace_attribute(conv_nd_kernel, "cpu", cpu)


def step_of(module: Any, shape: tuple[int, ...]) -> Callable[[], None]:
    """A call that runs a module forward and backward on the same random numbers of a shape."""
    inputs = Tensor(np.random.default_rng(0).standard_normal(shape, dtype=np.float32), requires_grad=True)

    def step() -> None:
        module(inputs).sum().backward()

    return step


def transplant_batch_norm(batch_norm: BatchNorm) -> Undo:
    """Compute Lucid's batch normalisation of a training by `batch_norm`; that of an evaluation stays.

    The running statistics keep Lucid's definition: they are of the biased variance.
    """
    before: Callable[..., Any] = batch_norm_kernel.cpu

    def gradients(operation: Any, a: Any, w: Any, kept: Any) -> Any:
        dx, dw, db = batch_norm.backward(operation.result.grad, a.data, w.data, kept, operation.eps)
        return dx, None, None, dw, db

    def train(self: Any, a: Any, running_mean: Any, running_var: Any, w: Any, b: Any) -> Any:
        out, mean, variance, kept = batch_norm.forward(a.data, w.data, b.data, self.eps)
        for running, value in ((running_mean, mean), (running_var, variance)):
            running.data = self.momentum * value + (1 - self.momentum) * running.data
        self.result = Tensor(out)
        return self.result, partial(gradients, self, a, w, kept)

    in_training = func_op(n_in=5, n_ret=1)(train)

    def cpu(self: Any, *tensors: Any) -> Any:
        is_plain = self.training and self.has_running and self.has_weight and self.has_bias
        return (in_training if is_plain else before)(self, *tensors)

    return replace_attribute(batch_norm_kernel, "cpu", cpu)


def transplant_relu(relu: Activation) -> Undo:
    """Compute Lucid's ReLU, which is its `maximum` of 0 and a tensor, by `relu`; any other maximum stays."""
    before: Callable[..., Any] = maximum.cpu

    def gradients(operation: Any) -> Any:
        return None, relu.backward(operation.result.grad, operation.result.data)

    def rectify(self: Any, a: Any, b: Any) -> Any:
        self.result = Tensor(relu.forward(b.data))
        return self.result, partial(gradients, self)

    of_zero = func_op(n_in=2, n_ret=1)(rectify)

    def cpu(self: Any, a: Any, b: Any) -> Any:
        is_relu = np.ndim(getattr(a, "data", a)) == 0 and float(getattr(a, "data", a)) == 0
        return (of_zero if is_relu else before)(self, a, b)

    return replace_attribute(maximum, "cpu", cpu)

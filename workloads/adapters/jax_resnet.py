"""JAX: the network by jax.lax's convolution and operations on arrays, its gradients by jax.vjp."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from epoch_gap.workloads.adapters.jax_core import JaxCore
from epoch_gap.workloads.array_core import ArrayCore
from epoch_gap.workloads.framework import Batch, Tensor
from epoch_gap.workloads.functional import State


class JaxResNet(JaxCore, ArrayCore):
    """`ArrayCore` with JAX's arrays."""

    title, version, distribution = "JAX", jax.__version__, "jax"
    array, sqrt = staticmethod(jnp.array), staticmethod(jnp.sqrt)
    relu, tanh = staticmethod(jax.nn.relu), staticmethod(jnp.tanh)

    def conv(self, x: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
        return jax.lax.conv_general_dilated(x, kernel, (stride, stride), [(padding, padding)] * 2)

    def max_pool(self, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
        around = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
        windows, steps = (1, 1, kernel, kernel), (1, 1, stride, stride)
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, windows, steps, around)

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], axis=1).mean()

    def to_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """jnp.array(images), jnp.array(labels, int32): copies"""
        return jnp.array(batch[0]), jnp.array(batch[1], jnp.int32)

    def loss_and_gradients(self, state: State, inputs: Tensor, targets: Tensor, training: bool) -> Any:
        """jax.vjp(loss, weights): the forward pass, dispatched operation by operation"""
        function = partial(self.loss, state, inputs, targets, training)
        loss, pullback, done = jax.vjp(function, state.weights, has_aux=True)
        return loss, done.logits, pullback, self.after(state, done)

    def read(self, tensor: Tensor) -> NDArray[Any]:
        return np.array(tensor)

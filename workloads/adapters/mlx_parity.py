"""MLX's `ParityAccess`: the network runs each layer through a function that copies its output."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
import numpy as np
from mlx.optimizers import Adam
from mlx.utils import tree_flatten

from epoch_gap.profiler.parity.definitions import BatchNormResult
from epoch_gap.profiler.parity.tensors import Array, Tensors
from epoch_gap.workloads.adapters.mlx_spans import LOSS, run_unwatched
from epoch_gap.workloads.framework import Labels

CrossEntropy = Callable[[mx.array, mx.array], mx.array]
Decay = Callable[[Any, Any], Any]
"""(gradients, parameters) -> gradients with the weight decay"""


class MlxParity:
    """`ParityAccess` of a network in mlx_network.py. `read_gradients` returns those of the last backward pass."""

    def __init__(
        self,
        model: Any,
        optimizer: Adam,
        cross_entropy: CrossEntropy,
        decay: Decay,
        read_gradients: Callable[[], Any],
    ) -> None:
        self._model, self._optimizer, self._cross_entropy = model, optimizer, cross_entropy
        self._decay, self._read_gradients = decay, read_gradients

    def statistics(self) -> Tensors:
        return {name: a for name, a in self._named(self._model.parameters()).items() if ".running_" in name}

    def gradients(self) -> Tensors:
        return self._named(self._read_gradients())

    @contextmanager
    def outputs(self) -> Iterator[dict[str, Array]]:
        collected: dict[str, Array] = {}

        def run(name: str, function: Callable[..., mx.array], *arrays: mx.array) -> mx.array:
            result = function(*arrays)
            if name != LOSS:
                collected[name] = _channels_first(result)
            return result

        self._model.run_layer = run
        try:
            yield collected
        finally:
            self._model.run_layer = run_unwatched

    def batch_norm(self, layer: str, inputs: Array) -> BatchNormResult:
        module = dict(self._model.named_layers())[layer]
        kept = module.running_mean, module.running_var
        module.running_mean, module.running_var = mx.zeros_like(kept[0]), mx.ones_like(kept[1])
        module.train()
        output = _channels_first(module(_channels_last(inputs)))
        result = BatchNormResult(output, np.array(module.running_mean), np.array(module.running_var))
        module.running_mean, module.running_var = kept
        return result

    def adam(self, parameter: Array, gradients: Sequence[Array], decays: bool) -> list[Array]:
        ours = self._optimizer
        optimizer = Adam(ours.learning_rate.item(), ours.betas, ours.eps, ours.bias_correction)
        values = {"values": mx.array(parameter.astype(np.float32))}
        after = []
        for gradient in gradients:
            step = {"values": mx.array(gradient.astype(np.float32))}
            values = optimizer.apply_gradients(self._decay(step, values) if decays else step, values)
            after.append(np.array(values["values"]))
        return after

    def cross_entropy(self, logits: Array, targets: Labels) -> float:
        loss: Any = self._cross_entropy(mx.array(logits.astype(np.float32)), mx.array(targets)).item()
        return float(loss)

    def _named(self, tree: Any) -> dict[str, Array]:
        return {self._model.canonical(path): _channels_first(array) for path, array in tree_flatten(tree)}


def _channels_first(array: mx.array) -> Array:
    """Images, and the kernels (out, rows, columns, in) too."""
    values = np.array(array)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2)) if values.ndim == 4 else values


def _channels_last(array: Array) -> mx.array:
    values = array.astype(np.float32)
    return mx.array(values.transpose(0, 2, 3, 1) if values.ndim == 4 else values)

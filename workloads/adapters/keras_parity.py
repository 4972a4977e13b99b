"""`ParityAccess` of Keras: a model with the output of every layer, and probes of its layers, optimizer and loss."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from epoch_gap.profiler.parity.definitions import BatchNormResult
from epoch_gap.profiler.parity.tensors import Array, Tensors
from epoch_gap.workloads.framework import Labels
from epoch_gap.workloads.functional import Training
from epoch_gap.workloads.optimizer import ADAM


class KerasParity:
    """Of a training whose core is a `KerasCore`."""

    def __init__(self, core: Any, training: Training) -> None:
        self._core, self._training = core, training

    def statistics(self) -> Tensors:
        named: Tensors = self._core.named(self._core.model.non_trainable_variables, self._training.state.statistics)
        return named

    def gradients(self) -> Tensors:
        named: Tensors = self._core.named(self._core.model.trainable_variables, self._training.pending)
        return named

    @contextmanager
    def outputs(self) -> Iterator[dict[str, Array]]:
        core = self._core
        collected: dict[str, Array] = {}
        core.network = core.watched
        try:
            yield collected
        finally:
            core.network = core.model
        collected.update({name: core.read(output) for name, output in core.outputs.items()})
        core.outputs = {}

    def batch_norm(self, layer: str, inputs: Array) -> BatchNormResult:
        core, channels = self._core, inputs.shape[1]
        weights = core.read_weights(self._training.state)
        start = [np.zeros(channels, np.float32), np.ones(channels, np.float32)]
        given = [[weights[f"{layer}.weight"], weights[f"{layer}.bias"]], start, inputs]
        trained, followed, x = keras.tree.map_structure(keras.ops.convert_to_tensor, given)
        module = core.model.get_layer(layer.replace(".", "_"))
        output, after = module.stateless_call(trained, followed, x, training=True)
        return BatchNormResult(core.read(output), *map(core.read, after))

    def adam(self, parameter: Array, gradients: Sequence[Array], decays: bool) -> list[Array]:
        ours = self._core.optimizer.get_config()
        optimizer = keras.optimizers.Adam.from_config({**ours, "learning_rate": self._training.lr})
        variable = keras.Variable(parameter.astype(np.float32), trainable=False)
        after = []
        for gradient in gradients:
            total = gradient + (ADAM.weight_decay * self._core.read(variable.value) if decays else 0.0)
            optimizer.apply([keras.ops.convert_to_tensor(total.astype(np.float32))], [variable])
            after.append(self._core.read(variable.value))
        return after

    def cross_entropy(self, logits: Array, targets: Labels) -> float:
        return float(self._core.read(self._core.criterion(targets, logits.astype(np.float32))))

"""`ParityAccess` of an `ArrayCore`: its layers keep their outputs, and probes call the core's own functions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from epoch_gap.profiler.parity.definitions import BatchNormResult
from epoch_gap.profiler.parity.tensors import Array, Tensors
from epoch_gap.workloads.architecture import IMAGE_CHANNELS
from epoch_gap.workloads.framework import Labels
from epoch_gap.workloads.functional import Training

PROBED = "values"
"""the name of the parameter of a probe of the optimizer"""


class ArrayParity:
    """Of a training whose core is an `ArrayCore`."""

    def __init__(self, core: Any, training: Training) -> None:
        self._core, self._training = core, training

    def statistics(self) -> Tensors:
        """By name, as the state has them."""
        return self._read(self._training.state.statistics)

    def gradients(self) -> Tensors:
        """Of the last backward pass."""
        return self._read(self._training.pending)

    @contextmanager
    def outputs(self) -> Iterator[dict[str, Array]]:
        """The outputs are there when the context has ended."""
        collected: dict[str, Array] = {}
        self._core.keeps_outputs = True
        try:
            yield collected
        finally:
            self._core.keeps_outputs = False
        collected.update(self._read(self._core.outputs))
        self._core.outputs = {}

    def batch_norm(self, layer: str, inputs: Array) -> BatchNormResult:
        """By the network's own function, with statistics that belong to nothing else."""
        core, channels = self._core, inputs.shape[1]
        start = {"running_mean": np.zeros(channels, np.float32), "running_var": np.ones(channels, np.float32)}
        statistics = {f"{layer}.{name}": core.array(values) for name, values in start.items()}
        output, after = core.normalise(layer, self._training.state.weights, statistics, core.array(inputs))
        return BatchNormResult(core.read(output), *(core.read(after[name]) for name in statistics))

    def adam(self, parameter: Array, gradients: Sequence[Array], decays: bool) -> list[Array]:
        """By `update`, of a state with one parameter."""
        core, before = self._core, self._core.adam
        core.adam = before if decays else replace(before, weight_decay=0.0)
        after = []
        try:
            state = core.init({PROBED: parameter.astype(np.float32)})
            for gradient in gradients:
                step = {PROBED: core.array(gradient.astype(np.float32))}
                state = core.update(state, step, self._training.lr)
                after.append(core.read(state.weights[PROBED]))
        finally:
            core.adam = before
        return after

    def cross_entropy(self, logits: Array, targets: Labels) -> float:
        """By the core's function."""
        images = np.zeros((len(targets), IMAGE_CHANNELS, 1, 1), np.float32)
        _, labels = self._core.to_device((images, targets))
        return float(self._core.read(self._core.cross_entropy(self._core.array(logits.astype(np.float32)), labels)))

    def _read(self, arrays: Any) -> dict[str, Array]:
        self._core.wait(list(arrays.values()))  # together: a lazy framework computes what they share once
        return {name: self._core.read(array) for name, array in arrays.items()}

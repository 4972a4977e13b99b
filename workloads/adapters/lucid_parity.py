"""Lucid's `ParityAccess`: hooks copy the outputs of the layers, and probes run the network's own layers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import lucid
import lucid.nn.functional as F
import mlx.core as mx
import numpy as np
from lucid import nn

from epoch_gap.profiler.parity.definitions import BatchNormResult
from epoch_gap.profiler.parity.tensors import Array, Tensors
from epoch_gap.workloads.adapters.lucid_spans import before_forward, named_layers
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.framework import Labels


class LucidParity:
    """`ParityAccess` of a network in lucid_networks.py and its optimizer, on NumPy or MLX."""

    def __init__(self, model: Any, architecture: Architecture, optimizer: Any, device: str) -> None:
        self._model, self._architecture, self._optimizer, self._device = model, architecture, optimizer, device

    def statistics(self) -> Tensors:
        return {name: _copied(buffer.data) for name, buffer in self._named("_buffers")}

    def gradients(self) -> Tensors:
        return {name: _copied(p.grad) for name, p in self._named("_parameters") if p.grad is not None}

    @contextmanager
    def outputs(self) -> Iterator[dict[str, Array]]:
        collected: dict[str, Array] = {}
        additions = self._architecture.rectified_sums()
        with ExitStack() as hooks:
            for name, module in self._layers():
                hooks.callback(module.register_forward_hook(_after(name, collected)))
                if name in additions:
                    hooks.callback(before_forward(module, _before(additions[name], collected)))
            yield collected

    def batch_norm(self, layer: str, inputs: Array) -> BatchNormResult:
        module = dict(self._layers())[layer]
        kept = [_copied(buffer.data) for buffer in module._buffers.values()]
        for buffer, start in zip(module._buffers.values(), (np.zeros_like, np.ones_like), strict=True):
            buffer.data = self._data(start(_copied(buffer.data)))
        module.train()
        with lucid.no_grad():
            output = module(lucid.tensor(self._data(inputs), device=self._device))
        statistics = [_copied(module.running_mean.data), _copied(module.running_var.data)]
        for buffer, before in zip(module._buffers.values(), kept, strict=True):
            buffer.data = self._data(before)
        return BatchNormResult(_copied(output.data), *statistics)

    def adam(self, parameter: Array, gradients: Sequence[Array], decays: bool) -> list[Array]:
        settings = {key: value for key, value in self._optimizer.param_groups[0].items() if key != "params"}
        if not decays:
            settings["weight_decay"] = 0.0
        values = nn.Parameter(self._data(parameter), device=self._device)
        optimizer = type(self._optimizer)([values])
        optimizer.param_groups[0].update(settings)
        after = []
        for gradient in gradients:
            values.grad = self._data(gradient)
            optimizer.step()
            after.append(_copied(values.data))
        return after

    def cross_entropy(self, logits: Array, targets: Labels) -> float:
        device = self._device
        with lucid.no_grad():
            wanted = lucid.tensor(targets, dtype=lucid.Int64, device=device)
            return float(F.cross_entropy(lucid.tensor(self._data(logits), device=device), wanted).data)

    def _layers(self) -> Iterator[tuple[str, Any]]:
        """The modules without parts, by canonical name."""
        layers = named_layers(self._model, self._architecture)
        return ((name, module) for name, module in layers if not module._modules)

    def _named(self, registry: str) -> Iterator[tuple[str, Any]]:
        """The parameters or buffers, by canonical name."""
        for layer, module in self._layers():
            for name, tensor in getattr(module, registry).items():
                yield f"{layer}.{name}", tensor

    def _data(self, array: Array) -> Any:
        values = array.astype(np.float32)
        return values if self._device == "cpu" else mx.array(values)


def _copied(data: Any) -> Array:
    return np.array(data)


def _after(name: str, collected: dict[str, Array]) -> Callable[[Any, Any, Any], None]:
    def copy(module: Any, args: Any, output: Any) -> None:
        array = _copied(output.data)
        collected[name] = array.reshape(len(array), -1) if name == "pool" else array

    return copy


def _before(addition: str, collected: dict[str, Array]) -> Callable[[Any, Any], None]:
    """The input of a block's last ReLU is the residual addition, which is not a module."""

    def copy(module: Any, args: Any) -> None:
        collected[addition] = _copied(args[0].data)

    return copy

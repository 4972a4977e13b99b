"""PyTorch's `ParityAccess`: hooks copy the outputs of the layers, and probes run the network's own layers."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from epoch_gap.profiler.parity.definitions import BatchNormResult
from epoch_gap.profiler.parity.tensors import Array, Tensors
from epoch_gap.workloads.adapters.torch_spans import canonical_name, layer_names, shared_names
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.framework import Labels


class TorchParity:
    """`ParityAccess` of a network in torch_networks.py, its loss and its optimizer."""

    def __init__(
        self,
        model: nn.Module,
        architecture: Architecture,
        criterion: nn.Module,
        optimizer: torch.optim.Optimizer,
        device: str,
    ) -> None:
        self._model, self._criterion, self._optimizer, self._device = model, criterion, optimizer, device
        self._names = layer_names(architecture)

    def statistics(self) -> Tensors:
        return {
            f"{canonical_name(path)}.{name}": _copied(buffer)
            for path, module in self._model.named_modules()
            for name, buffer in module.named_buffers(recurse=False)
            if buffer.ndim  # not the number of batches
        }

    def gradients(self) -> Tensors:
        return {name: _copied(p.grad) for name, p in self._parameters() if p.grad is not None}

    @contextmanager
    def outputs(self) -> Iterator[dict[str, Array]]:
        collected: dict[str, Array] = {}
        with ExitStack() as hooks:
            for path, module in self._model.named_modules():
                name = canonical_name(path)
                if shared := shared_names(path, self._names):
                    addition = f"{path.removesuffix('relu')}add"
                    hooks.callback(module.register_forward_pre_hook(_before(addition, shared, collected)).remove)
                    hooks.callback(module.register_forward_hook(_after_shared(shared, collected)).remove)
                elif name in self._names:
                    hooks.callback(module.register_forward_hook(_after(name, collected)).remove)
            yield collected

    def batch_norm(self, layer: str, inputs: Array) -> BatchNormResult:
        modules = {canonical_name(path): module for path, module in self._model.named_modules()}
        module: Any = modules[layer]
        kept = [buffer.clone() for buffer in module.buffers()]
        module.reset_running_stats()
        module.train()
        with torch.no_grad():
            output = module(self._tensor(inputs))
            result = BatchNormResult(_copied(output), _copied(module.running_mean), _copied(module.running_var))
            for buffer, before in zip(module.buffers(), kept, strict=True):
                buffer.copy_(before)
        return result

    def adam(self, parameter: Array, gradients: Sequence[Array], decays: bool) -> list[Array]:
        settings = {key: value for key, value in self._optimizer.param_groups[0].items() if key != "params"}
        if not decays:
            settings["weight_decay"] = 0.0
        values = nn.Parameter(self._tensor(parameter))
        kind: Any = type(self._optimizer)
        optimizer = kind([values])
        optimizer.param_groups[0].update(settings)
        after = []
        for gradient in gradients:
            values.grad = self._tensor(gradient)
            optimizer.step()
            after.append(_copied(values))
        return after

    def cross_entropy(self, logits: Array, targets: Labels) -> float:
        return float(self._criterion(self._tensor(logits), torch.from_numpy(targets).to(self._device)).item())

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for path, module in self._model.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                yield f"{canonical_name(path)}.{name}", parameter

    def _tensor(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self._device)


def _copied(tensor: torch.Tensor) -> Array:
    return tensor.detach().cpu().numpy().copy()


def _after(name: str, collected: dict[str, Array]) -> Any:
    def copy(module: nn.Module, args: Any, output: torch.Tensor) -> None:
        collected[name] = _copied(output.flatten(1) if name == "pool" else output)

    return copy


def _before(addition: str, shared: Sequence[str], collected: dict[str, Array]) -> Any:
    """The last input of a block's only ReLU is the residual addition, which is not a module."""

    def copy(module: nn.Module, args: Any) -> None:
        if all(name in collected for name in shared[:-1]):
            collected[addition] = _copied(args[0])

    return copy


def _after_shared(shared: Sequence[str], collected: dict[str, Array]) -> Any:
    def copy(module: nn.Module, args: Any, output: torch.Tensor) -> None:
        collected[next(name for name in shared if name not in collected)] = _copied(output)

    return copy

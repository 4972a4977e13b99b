"""Times of PyTorch's layers and operators.

Layers: module hooks in the forward pass, hooks of the autograd nodes in the backward pass. Operators: torch.profiler.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from epoch_gap.profiler.drilldown import roofline
from epoch_gap.profiler.drilldown.spans import Direction, Key, OperatorCategory, Spans
from epoch_gap.workloads.architecture import Architecture

FORWARD_RANGE = "epoch-gap forward"
ENGINE = "autograd::engine::evaluate_function: "
CATEGORIES = {
    "accumulategrad": OperatorCategory.OTHER,
    "conv": OperatorCategory.CONVOLUTION,
    "batch_norm": OperatorCategory.NORMALISATION,
    "batchnorm": OperatorCategory.NORMALISATION,
    "relu": OperatorCategory.ACTIVATION,
    "tanh": OperatorCategory.ACTIVATION,
    "pool": OperatorCategory.POOLING,
    "mean": OperatorCategory.POOLING,
    "linear": OperatorCategory.LINEAR,
    "addmm": OperatorCategory.LINEAR,
    "tbackward": OperatorCategory.LINEAR,
    "cross_entropy": OperatorCategory.LOSS,
    "nllloss": OperatorCategory.LOSS,
    "logsoftmax": OperatorCategory.LOSS,
    "add": OperatorCategory.ELEMENTWISE,
}
"""by a part of the name of the operator or autograd node; the first match counts"""

Synchronize = Callable[[], None]
Nodes = Callable[[str, torch.Tensor], list[tuple[str, Any]]]
"""(layer, its output) -> (layer, autograd node) for each node of the layer"""


class TorchLayerTimings:
    """`LayerTimings` of a network in torch_networks.py and its loss, `criterion`."""

    def __init__(
        self,
        model: nn.Module,
        architecture: Architecture,
        criterion: nn.Module,
        device: str,
        synchronize: Synchronize,
    ) -> None:
        self._model, self._criterion, self._device, self._synchronize = model, criterion, device, synchronize
        self._names = layer_names(architecture)

    @contextmanager
    def layers(self, spans: Spans) -> Iterator[None]:
        with ExitStack() as hooks:
            hook = _LayerHooks(self._names, spans, self._synchronize, hooks)
            for path, module in self._model.named_modules():
                hook.module(path, module)
            hook.layer(self._criterion, _constant("loss"), _loss_nodes)
            yield

    @contextmanager
    def operators(self, spans: Spans) -> Iterator[None]:
        """Totals of the operators that forward calls and of the autograd nodes, from torch.profiler.

        The time of an operator is that of its outermost call, so that times add up, on the
        device if that is not the CPU.
        """
        with ExitStack() as hooks, torch.profiler.profile() as profiler, ExitStack() as forward_range:

            def enter(module: nn.Module, args: Any) -> None:
                forward_range.enter_context(torch.profiler.record_function(FORWARD_RANGE))

            def leave(module: nn.Module, args: Any, output: Any) -> None:
                forward_range.close()

            for module in (self._model, self._criterion):
                hooks.callback(module.register_forward_pre_hook(enter).remove)
                hooks.callback(module.register_forward_hook(leave).remove)
            yield
        for event in profiler.events() or ():
            key = _operator_key(event)
            if key is not None:
                us = event.cpu_time_total if self._device == "cpu" else event.device_time_total
                spans.add_total(key, round(us * 1000))

    def category(self, operator: str) -> OperatorCategory:
        name = operator.lower().removeprefix("aten::")
        return next((category for part, category in CATEGORIES.items() if part in name), OperatorCategory.OTHER)

    def peak_rates(self) -> dict[str, float]:
        a, b = (torch.rand(roofline.SIDE, roofline.SIDE, device=self._device) for _ in range(2))
        source = torch.ones(roofline.COPIED, device=self._device)
        product, target = torch.empty_like(a), torch.empty_like(source)

        def multiply() -> None:
            torch.matmul(a, b, out=product)
            self._synchronize()

        def copy() -> None:
            target.copy_(source)
            self._synchronize()

        return roofline.measured_rates("torch", multiply, copy)


def _operator_key(event: Any) -> Key | None:
    """The key of a profiler event; None for an event inside another operator, or outside the network."""
    if event.name.startswith(ENGINE):
        return Key(Direction.BACKWARD, "", event.name.removeprefix(ENGINE))
    if event.cpu_parent is not None and event.cpu_parent.name == FORWARD_RANGE:
        return Key(Direction.FORWARD, "", event.name)
    return None


class _LayerHooks:
    """Hooks layers so that they report to `spans`; the hooks are removed when `hooks` closes."""

    def __init__(self, names: Sequence[str], spans: Spans, synchronize: Synchronize, hooks: ExitStack) -> None:
        self._names, self._spans, self._synchronize, self._hooks = names, spans, synchronize, hooks

    def module(self, path: str, module: nn.Module) -> None:
        """Hook the module at `path` of the network, if it is a layer, under its canonical name."""
        name = canonical_name(path)
        if shared := shared_names(path, self._names):
            self.layer(module, _Repeating(shared), _own_node)
            self._hooks.callback(
                module.register_forward_pre_hook(self._hook_addition(f"{path.removesuffix('relu')}add")).remove
            )
        elif f"{path}.add" in self._names:
            self.layer(module, _constant(f"{path}.add"), _no_node)
        elif not path:
            self.layer(module, _constant("network"), _no_node)
        elif name in self._names:
            self.layer(module, _constant(name), _own_node)

    def layer(self, module: nn.Module, name: Callable[[], str], nodes_of: Nodes) -> None:
        """Hook `module` as the layer `name()`, and the autograd nodes of its output."""

        def before(module: nn.Module, args: Any) -> None:
            self._synchronize()
            self._spans.open(Direction.FORWARD, name())

        def after(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            self._synchronize()
            layer = self._spans.layer
            self._spans.close()
            if output.requires_grad:
                for node_layer, node in nodes_of(layer, output):
                    self._hook_node(node, node_layer)

        self._hooks.callback(module.register_forward_pre_hook(before).remove)
        self._hooks.callback(module.register_forward_hook(after).remove)

    def _hook_addition(self, layer: str) -> Callable[[nn.Module, Any], None]:
        """A pre-hook of a ReLU that finds the residual addition, which is not a module, in the ReLU's input."""

        def before(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            node = args[0].grad_fn
            if node is not None and node.name().startswith("AddBackward"):
                self._hook_node(node, layer)

        return before

    def _hook_node(self, node: Any, layer: str) -> None:
        """Time an autograd node as part of the backward pass of `layer`."""

        def before(gradients: Any) -> None:
            self._synchronize()
            self._spans.open(Direction.BACKWARD, layer)

        def after(inputs: Any, outputs: Any) -> None:
            self._synchronize()
            self._spans.close()

        node.register_prehook(before)
        node.register_hook(after)


class _Repeating:
    """The names of a block's only ReLU module, which is several layers, one after the other."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._calls = names, 0

    def __call__(self) -> str:
        self._calls += 1
        return self._names[(self._calls - 1) % len(self._names)]


def _constant(name: str) -> Callable[[], str]:
    return lambda: name


def layer_names(architecture: Architecture) -> list[str]:
    """The canonical names of all layers."""
    return [layer.name for layer in architecture.layers()]


def shared_names(path: str, names: Sequence[str]) -> list[str]:
    """The layers that the module at `path` computes if it is a block's only ReLU: `relu` -> `relu1`, `relu2`, ..."""
    return [name for name in names if path and name.removeprefix(path).isdigit()]


def canonical_name(path: str) -> str:
    """`conv1` -> `stem.conv`, `layer2.0.downsample.0` -> `layer2.0.downsample.conv`, `avgpool` -> `pool`."""
    stem = {"conv1": "stem.conv", "bn1": "stem.bn", "relu": "stem.relu", "maxpool": "stem.pool", "avgpool": "pool"}
    parts = {"downsample.0": "downsample.conv", "downsample.1": "downsample.bn"}
    suffix = next((part for part in parts if path.endswith(part)), None)
    return path.removesuffix(suffix) + parts[suffix] if suffix else stem.get(path, path)


def _own_node(layer: str, output: torch.Tensor) -> list[tuple[str, Any]]:
    return [(layer, output.grad_fn)]


def _no_node(layer: str, output: torch.Tensor) -> list[tuple[str, Any]]:
    return []


def _loss_nodes(layer: str, output: torch.Tensor) -> list[tuple[str, Any]]:
    """Cross-entropy has two nodes: the likelihood and, before it, the softmax."""
    assert output.grad_fn is not None
    return [(layer, output.grad_fn), (layer, output.grad_fn.next_functions[0][0])]

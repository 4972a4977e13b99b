"""Times of PyTorch's layers: module hooks going forward, hooks of the autograd nodes going backward."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from epoch_gap.profiler.drilldown.spans import Direction, Family, Key, Spans

Nodes = Callable[[str, torch.Tensor], list[tuple[str, Any]]]
"""(layer, its output) -> layer and autograd node, for each node that is the layer's"""


@contextmanager
def layers(model: nn.Module, criterion: nn.Module, spans: Spans, synchronize: Callable[[], None]) -> Iterator[None]:
    """Report every layer of torchvision's resnet18 to `spans`, under its canonical name."""
    handles: list[Any] = []

    def watch(module: nn.Module, name: Callable[[], str], nodes_of: Nodes) -> None:
        def before(module: nn.Module, args: Any) -> None:
            synchronize()
            spans.open(Direction.FORWARD, name())

        def after(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            synchronize()
            layer = spans.layer
            spans.close()
            if output.requires_grad:
                for node_layer, node in nodes_of(layer, output):
                    _watch_node(node, node_layer, spans, synchronize)

        handles.append(module.register_forward_pre_hook(before))
        handles.append(module.register_forward_hook(after))

    module: nn.Module
    for path, module in model.named_modules():
        if path.endswith("relu") and path != "relu":
            watch(module, _Alternating(f"{path}1", f"{path}2"), _own_node)
            handles.append(
                module.register_forward_pre_hook(_add_before(path.removesuffix("relu"), spans, synchronize))
            )
        elif isinstance(module, BasicBlock):
            watch(module, _constant(f"{path}.add"), _no_node)
        elif not path:
            watch(module, _constant("network"), _no_node)
        elif not list(module.children()) and path != "maxpool":
            watch(module, _constant(_canonical(path)), _own_node)
    watch(criterion, _constant("loss"), _loss_nodes)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Alternating:
    """A block's one ReLU module is called twice: its first layer, then its second."""

    def __init__(self, first: str, second: str) -> None:
        self._names, self._calls = (first, second), 0

    def __call__(self) -> str:
        self._calls += 1
        return self._names[(self._calls - 1) % 2]


def _constant(name: str) -> Callable[[], str]:
    return lambda: name


def _canonical(path: str) -> str:
    """`conv1` -> `stem.conv`, `layer2.0.downsample.0` -> `layer2.0.downsample.conv`, `avgpool` -> `pool`."""
    stem = {"conv1": "stem.conv", "bn1": "stem.bn", "relu": "stem.relu", "avgpool": "pool"}
    parts = {"downsample.0": "downsample.conv", "downsample.1": "downsample.bn"}
    end = next((part for part in parts if path.endswith(part)), None)
    return path.removesuffix(end) + parts[end] if end else stem.get(path, path)


def _own_node(layer: str, output: torch.Tensor) -> list[tuple[str, Any]]:
    return [(layer, output.grad_fn)]


def _no_node(layer: str, output: torch.Tensor) -> list[tuple[str, Any]]:
    return []


def _loss_nodes(layer: str, output: torch.Tensor) -> list[tuple[str, Any]]:
    """Cross-entropy is two nodes: the likelihood and, before it, the softmax."""
    assert output.grad_fn is not None
    return [(layer, output.grad_fn), (layer, output.grad_fn.next_functions[0][0])]


def _add_before(block: str, spans: Spans, synchronize: Callable[[], None]) -> Callable[[nn.Module, Any], None]:
    """What a ReLU is given may come from the residual addition, which is no module."""

    def before(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        node = args[0].grad_fn
        if node is not None and node.name().startswith("AddBackward"):
            _watch_node(node, f"{block}add", spans, synchronize)

    return before


def _watch_node(node: Any, layer: str, spans: Spans, synchronize: Callable[[], None]) -> None:
    def before(gradients: Any) -> None:
        synchronize()
        spans.open(Direction.BACKWARD, layer)

    def after(inputs: Any, outputs: Any) -> None:
        synchronize()
        spans.close()

    node.register_prehook(before)
    node.register_hook(after)


FORWARD_RANGE = "epoch-gap forward"
ENGINE = "autograd::engine::evaluate_function: "


@contextmanager
def operators(model: nn.Module, criterion: nn.Module, spans: Spans, device: str) -> Iterator[None]:
    """Report to `spans`, as totals, every operator that forward calls and every autograd node of backward.

    From torch.profiler: an operator's time is that of the outermost call, so that calls add up; it is the device's
    where that is not the CPU.
    """
    ranges: list[Any] = []

    def enter(module: nn.Module, args: Any) -> None:
        ranges.append(torch.profiler.record_function(FORWARD_RANGE))
        ranges[-1].__enter__()

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        ranges.pop().__exit__(None, None, None)

    handles = [
        handle
        for module in (model, criterion)
        for handle in (module.register_forward_pre_hook(enter), module.register_forward_hook(leave))
    ]
    try:
        with torch.profiler.profile() as profiler:
            yield
    finally:
        for handle in handles:
            handle.remove()
    for event in profiler.events() or ():
        if event.name.startswith(ENGINE):
            key = Key(Direction.BACKWARD, "", event.name.removeprefix(ENGINE))
        elif event.cpu_parent is not None and event.cpu_parent.name == FORWARD_RANGE:
            key = Key(Direction.FORWARD, "", event.name)
        else:
            continue
        microseconds = event.cpu_time_total if device == "cpu" else event.device_time_total
        spans.add_total(key, round(microseconds * 1000))


FAMILIES = {
    "accumulategrad": Family.OTHER, "conv": Family.CONVOLUTION,
    "batch_norm": Family.NORMALISATION, "batchnorm": Family.NORMALISATION,
    "relu": Family.ACTIVATION, "pool": Family.POOLING, "mean": Family.POOLING, "linear": Family.LINEAR,
    "addmm": Family.LINEAR, "tbackward": Family.LINEAR, "cross_entropy": Family.LOSS, "nllloss": Family.LOSS,
    "logsoftmax": Family.LOSS, "add": Family.ELEMENTWISE,
}  # fmt: skip
"""by a part of the operator's or the node's name, the first that fits"""


def family(operator: str) -> Family:
    """The kind of an operator or an autograd node."""
    plain = operator.lower().removeprefix("aten::")
    return next((kind for part, kind in FAMILIES.items() if part in plain), Family.OTHER)

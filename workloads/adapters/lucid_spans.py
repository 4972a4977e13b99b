"""Times of Lucid's layers and operators: module hooks, and the two places where Lucid runs an operation."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import mlx.core as mx
from lucid._backend.core import BackwardOperation, Operation

from epoch_gap.profiler.drilldown.spans import Direction, OperatorCategory, Spans
from epoch_gap.workloads.architecture import Architecture

NETWORK = "network"
LOSS = "cross_entropy_kernel"
CATEGORIES = {
    "conv_nd_kernel": OperatorCategory.CONVOLUTION,
    "batch_norm_kernel": OperatorCategory.NORMALISATION,
    "maximum": OperatorCategory.ACTIVATION,
    "tanh": OperatorCategory.ACTIVATION,
    "pool_nd_kernel": OperatorCategory.POOLING,
    "matmul": OperatorCategory.LINEAR,
    LOSS: OperatorCategory.LOSS,
    "add": OperatorCategory.ELEMENTWISE,
}
"""by the class of the operation"""


class LucidLayerTimings:
    """`LayerTimings` of a network in lucid_networks.py. The spans of a layer name its operators."""

    operators = None
    peak_rates = None

    def __init__(self, model: Any, architecture: Architecture) -> None:
        self._model, self._architecture = model, architecture

    @contextmanager
    def layers(self, spans: Spans) -> Iterator[None]:
        """Layers and their operators; on MLX each operator waits for its result.

        Lucid runs an operator's forward pass in `Operation.__call__`, its backward pass in
        `BackwardOperation.__call__`.
        """
        with ExitStack() as restore:
            for name, module in [(NETWORK, self._model), *named_layers(self._model, self._architecture)]:
                restore.callback(before_forward(module, _opening(spans, name)))
                restore.callback(module.register_forward_hook(lambda module, args, output: _close(spans, output)))
            for owner, timed in ((Operation, _timed_forward), (BackwardOperation, _timed_backward)):
                restore.callback(setattr, owner, "__call__", owner.__call__)
                owner.__call__ = timed(owner.__call__, spans)
            yield

    def category(self, operator: str) -> OperatorCategory:
        return CATEGORIES.get(operator, OperatorCategory.OTHER)


def _timed_forward(forward: Callable[..., Any], spans: Spans) -> Callable[..., Any]:
    """`Operation.__call__` with a span around the operators of layers."""

    def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
        operator = type(self).__name__
        layer = "loss" if operator == LOSS else spans.layer
        if not layer:  # an operator of the optimizer or the metrics
            return forward(self, *args, **kwargs)
        self.profiled_layer = layer
        spans.open(Direction.FORWARD, layer, operator)
        result = forward(self, *args, **kwargs)
        _close(spans, result)
        return result

    return timed


def _timed_backward(backward: Callable[[Any], None], spans: Spans) -> Callable[[Any], None]:
    """`BackwardOperation.__call__` with a span, in the layer of the operator's forward pass."""

    def timed(self: Any) -> None:
        operation = self.forward_op_ref() if self.forward_op_ref is not None else None
        if operation is None:
            backward(self)
            return
        spans.open(Direction.BACKWARD, getattr(operation, "profiled_layer", NETWORK), type(operation).__name__)
        inputs = [ref() for ref in self.tensor_refs]
        backward(self)
        _evaluate([tensor.grad for tensor in inputs if tensor is not None])
        spans.close()

    return timed


def walk_modules(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """A module at `path` and all its parts, with their paths."""
    yield path, module
    for name, child in module._modules.items():
        yield from walk_modules(child, f"{path}.{name}".lstrip("."))


def before_forward(module: Any, hook: Callable[[Any, Any], None]) -> Callable[[], object]:
    """Call `hook(module, args)` before each forward pass of a module. Returns the undo.

    A module of Lucid 2.11 has no such hook; its `forward` is replaced.
    """
    if hasattr(module, "register_forward_pre_hook"):
        undo: Callable[[], object] = module.register_forward_pre_hook(hook)
        return undo
    forward = module.forward

    def hooked(*args: Any, **kwargs: Any) -> Any:
        hook(module, args)
        return forward(*args, **kwargs)

    module.forward = hooked
    return lambda: module.__dict__.pop("forward")


def _opening(spans: Spans, name: str) -> Callable[[Any, Any], None]:
    def open_span(module: Any, args: Any) -> None:
        spans.open(Direction.FORWARD, name)

    return open_span


def _close(spans: Spans, output: Any) -> None:
    """Wait for an output on MLX, then close the innermost span."""
    results = output if isinstance(output, tuple) else (output,)
    _evaluate([getattr(result, "data", None) for result in results])
    spans.close()


def _evaluate(arrays: list[Any]) -> None:
    mx.eval([array for array in arrays if isinstance(array, mx.array)])


def named_layers(model: Any, architecture: Architecture) -> Iterator[tuple[str, Any]]:
    """(canonical name, module) of every layer; a residual block is its addition, and has the block's layers in it."""
    names = {layer.name for layer in architecture.layers()}
    for path, module in walk_modules(model, ""):
        if f"{path}.add" in names:
            yield f"{path}.add", module
        elif not module._modules and (name := canonical_name(path)) in names:
            yield name, module


OUTSIDE_BLOCKS = {
    "stem.0": "stem.conv",
    "stem.1": "stem.bn",
    "stem.2": "stem.relu",
    "maxpool": "stem.pool",
    "avgpool": "pool",
    "conv1.0": "layer1.conv",
    "conv1.1": "layer1.tanh",
    "conv1.2": "layer1.pool",
    "conv2.0": "layer2.conv",
    "conv2.1": "layer2.tanh",
    "conv2.2": "layer2.pool",
    "fc1": "layer3.linear",
    "tanh3": "layer3.tanh",
    "fc2": "layer4.linear",
    "tanh4": "layer4.tanh",
    "fc3": "fc",
}
"""canonical names by Lucid's, of all layers outside residual blocks"""
WITHIN_BLOCKS = {
    "downsample.0": "downsample.conv",
    "downsample.1": "downsample.bn",
    "conv1.conv": "conv1",
    "conv1.bn": "bn1",
    "conv1.relu": "relu1",
    "conv2.conv": "conv2",
    "conv2.bn": "bn2",
    "conv2.relu": "relu2",
    "conv3.0": "conv3",
    "conv3.1": "bn3",
    "relu": "relu3",
}
"""the same for a layer of a block; those of a bottleneck but `downsample`"""


def canonical_name(path: str) -> str:
    """`stem.0` -> `stem.conv`, `layer2.0.downsample.0` -> `layer2.0.downsample.conv`, `avgpool` -> `pool`."""
    stage, number, layer = [*path.split(".", 2), "", ""][:3]
    if number.isdigit() and stage.startswith("layer"):
        return f"{stage}.{number}.{WITHIN_BLOCKS.get(layer, layer)}"
    return OUTSIDE_BLOCKS.get(path, path)

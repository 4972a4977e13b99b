"""Times of Lucid's layers and operators: module hooks, and the two places where Lucid runs an operation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from lucid._backend.core import BackwardOperation, Operation

from epoch_gap.profiler.drilldown.spans import Direction, Family, Spans

NETWORK = "network"
LOSS = "cross_entropy_kernel"
FAMILIES = {
    "conv_nd_kernel": Family.CONVOLUTION, "batch_norm_kernel": Family.NORMALISATION, "maximum": Family.ACTIVATION,
    "pool_nd_kernel": Family.POOLING, "matmul": Family.LINEAR, LOSS: Family.LOSS, "add": Family.ELEMENTWISE,
}  # fmt: skip
"""by the class of the operation"""


@contextmanager
def layers(model: Any, spans: Spans) -> Iterator[None]:
    """Report every layer of Lucid's resnet_18, and each operator in it, to `spans`; on MLX each waits for its result.

    Lucid's `Operation.__call__` runs an operator going forward, `BackwardOperation.__call__` one going backward.
    """
    removers: list[Callable[[], None]] = []
    for path, module in _walk(model, ""):
        name = _canonical(path, bool(module._modules), hasattr(module, "conv2"))
        if name is not None:
            removers.append(module.register_forward_pre_hook(_opening(spans, name)))
            removers.append(module.register_forward_hook(lambda module, args, output: _closing(spans, output)))
    forward, backward = Operation.__call__, BackwardOperation.__call__

    def timed_forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        operator = type(self).__name__
        layer = "loss" if operator == LOSS else spans.layer
        if not layer:  # the optimizer's, or the metrics'
            return forward(self, *args, **kwargs)
        self.profiled_layer = layer
        spans.open(Direction.FORWARD, layer, operator)
        result = forward(self, *args, **kwargs)
        _closing(spans, result)
        return result

    def timed_backward(self: Any) -> None:
        operation = self.forward_op_ref() if self.forward_op_ref is not None else None
        if operation is None:
            backward(self)
            return
        spans.open(Direction.BACKWARD, getattr(operation, "profiled_layer", NETWORK), type(operation).__name__)
        inputs = [ref() for ref in self.tensor_refs]
        backward(self)
        _evaluate([tensor.grad for tensor in inputs if tensor is not None])
        spans.close()

    Operation.__call__, BackwardOperation.__call__ = timed_forward, timed_backward
    try:
        yield
    finally:
        Operation.__call__, BackwardOperation.__call__ = forward, backward
        for remove in removers:
            remove()


def _walk(module: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, module
    for name, child in module._modules.items():
        yield from _walk(child, f"{path}.{name}".lstrip("."))


def _opening(spans: Spans, name: str) -> Callable[[Any, Any], None]:
    def opening(module: Any, args: Any) -> None:
        spans.open(Direction.FORWARD, name)

    return opening


def _closing(spans: Spans, output: Any) -> None:
    results = output if isinstance(output, tuple) else (output,)
    _evaluate([getattr(result, "data", None) for result in results])
    spans.close()


def _evaluate(arrays: list[Any]) -> None:
    mx.eval([array for array in arrays if isinstance(array, mx.array)])


def _canonical(path: str, has_children: bool, is_block: bool) -> str | None:
    """`stem.0` -> `stem.conv`, a block -> its addition, `avgpool` -> `pool`; None for what is no layer."""
    if not path:
        return NETWORK
    if is_block:
        return f"{path}.add"
    if has_children or path == "maxpool":
        return None
    names = {
        "stem.0": "stem.conv", "stem.1": "stem.bn", "stem.2": "stem.relu", "avgpool": "pool",
        "downsample.0": "downsample.conv", "downsample.1": "downsample.bn",
    }  # fmt: skip
    end = next((name for name in names if path.endswith(name)), None)
    return path.removesuffix(end) + names[end] if end else path

"""The network as operations in the order of computation, for adapters that build it from them."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from epoch_gap.workloads import resnet18

IMAGE = "image"
"""the source of the first operation"""


class Conv(NamedTuple):
    """A convolution without bias."""

    name: str
    sources: tuple[str, ...]
    inputs: int
    out: int
    kernel: int
    stride: int
    padding: int


class BatchNorm(NamedTuple):
    """Batch normalisation, with a scale and a shift per channel."""

    name: str
    sources: tuple[str, ...]
    channels: int


class Relu(NamedTuple):
    """max(x, 0) of each number."""

    name: str
    sources: tuple[str, ...]


class GlobalPool(NamedTuple):
    """The mean of each channel."""

    name: str
    sources: tuple[str, ...]


class Add(NamedTuple):
    """The residual addition, of two sources."""

    name: str
    sources: tuple[str, ...]


class Linear(NamedTuple):
    """A linear layer with a bias."""

    name: str
    sources: tuple[str, ...]
    out: int


type Operation = Conv | BatchNorm | Relu | GlobalPool | Add | Linear


def operations() -> Iterator[Operation]:
    """Every operation from the image to the logits, under the names of `resnet18.layers`."""
    yield from _convolution("stem.conv", "stem.bn", next(resnet18.convolutions()), IMAGE)
    yield Relu("stem.relu", ("stem.bn",))
    last = "stem.relu"
    for block, convs in resnet18.blocks().items():
        yield from _convolution(f"{block}.conv1", f"{block}.bn1", convs["conv1"], last)
        yield Relu(f"{block}.relu1", (f"{block}.bn1",))
        yield from _convolution(f"{block}.conv2", f"{block}.bn2", convs["conv2"], f"{block}.relu1")
        shortcut = last
        if "downsample" in convs:
            shortcut = f"{block}.downsample.bn"
            yield from _convolution(f"{block}.downsample.conv", shortcut, convs["downsample"], last)
        yield Add(f"{block}.add", (f"{block}.bn2", shortcut))
        last = f"{block}.relu2"
        yield Relu(last, (f"{block}.add",))
    yield GlobalPool("pool", (last,))
    yield Linear("fc", ("pool",), resnet18.CLASSES)


def _convolution(name: str, norm: str, conv: resnet18.Conv, source: str) -> Iterator[Operation]:
    yield Conv(name, (source,), conv.inputs, conv.out, conv.kernel, conv.stride, conv.kernel // 2)
    yield BatchNorm(norm, (name,), conv.out)


def run_operations(images: Any, compute: Callable[..., Any]) -> Any:
    """The logits of images; `compute(operation, *inputs)` is the result of one operation.

    A result is forgotten after its last use, so that its memory is free unless a gradient needs it.
    """
    last: Any = images
    results = {IMAGE: images}
    uses = Counter(source for operation in operations() for source in operation.sources)
    for operation in operations():
        last = results[operation.name] = compute(operation, *(results[source] for source in operation.sources))
        for source in operation.sources:
            uses[source] -= 1
            if not uses[source]:
                del results[source]
    return last

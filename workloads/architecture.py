"""Networks as data: their operations in the order of computation.

Parameters, shapes, the work of each layer and canonical names follow from the operations, and so do the adapters'
networks, the initial weights and the renumbered channels of a parity check.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Literal, NamedTuple

from epoch_gap.profiler.drilldown.roofline import Layer
from epoch_gap.profiler.drilldown.spans import OperatorCategory
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, Network

CLASSES = 10
IMAGE_CHANNELS = 3
IMAGE = "image"
"""the source of the first operation"""


class Conv(NamedTuple):
    """A convolution."""

    name: str
    sources: tuple[str]
    inputs: int
    out: int
    kernel: int
    stride: int = 1
    padding: int = 0
    has_bias: bool = False


class BatchNorm(NamedTuple):
    """Batch normalisation, with a scale and a shift per channel."""

    name: str
    sources: tuple[str]
    channels: int


class Activation(NamedTuple):
    """A function of each number."""

    name: str
    sources: tuple[str]
    function: Literal["relu", "tanh"]


class Pool(NamedTuple):
    """The maximum or the mean of each window."""

    name: str
    sources: tuple[str]
    function: Literal["max", "mean"]
    kernel: int
    stride: int
    padding: int = 0


class GlobalPool(NamedTuple):
    """The mean of each channel."""

    name: str
    sources: tuple[str]


class Add(NamedTuple):
    """The residual addition."""

    name: str
    sources: tuple[str, str]


class Linear(NamedTuple):
    """A linear layer with a bias; it takes the numbers of images in the order channels, rows, columns."""

    name: str
    sources: tuple[str]
    inputs: int
    out: int


type Operation = Conv | BatchNorm | Activation | Pool | GlobalPool | Add | Linear
type Shape = tuple[int, ...]


@dataclass(frozen=True)
class Architecture:
    """A network for images (B, 3, image_size, image_size) and logits (B, 10)."""

    name: str
    """in the registry, `ARCHITECTURES`"""
    title: str
    image_size: int
    """rows and columns, in pixels"""
    operations: tuple[Operation, ...]

    @property
    def network(self) -> Network:
        """Its name and image size, as a run stores them."""
        return Network(self.name, self.image_size)

    def kinds(self) -> set[str]:
        """The categories of its layers, and the functions of its activations: `normalisation`, `relu`, ..."""
        functions: set[str] = {a.function for a in self.operations if isinstance(a, Activation)}
        return functions | {str(layer.category) for layer in self.layers()}

    def shapes(self) -> dict[str, Shape]:
        """The shape of each operation's output without the batch: (channels, rows, columns) or (channels,)."""
        shapes: dict[str, Shape] = {IMAGE: (IMAGE_CHANNELS, self.image_size, self.image_size)}
        for operation in self.operations:
            shapes[operation.name] = _output_shape(operation, shapes[operation.sources[0]])
        return shapes

    def parameters(self) -> Iterator[tuple[str, Shape]]:
        """(canonical name, shape) of every trainable parameter; kernels are (out, in, rows, columns)."""
        for operation in self.operations:
            yield from ((f"{operation.name}.{kind}", shape) for kind, shape in _parameters(operation).items())

    def parameter_count(self) -> int:
        """The number of trainable parameters."""
        return sum(prod(shape) for _, shape in self.parameters())

    def convolutions(self) -> Iterator[Conv]:
        """All convolutions from the image to the last block, shortcuts included."""
        return (operation for operation in self.operations if isinstance(operation, Conv))

    def blocks(self) -> dict[str, dict[str, Conv]]:
        """The convolutions of each residual block: conv1, conv2, ... and, if the shape changes, downsample."""
        blocks: dict[str, dict[str, Conv]] = {
            operation.name.removesuffix(".add"): {} for operation in self.operations if isinstance(operation, Add)
        }
        for conv in self.convolutions():
            block, _, position = conv.name.removesuffix(".conv").rpartition(".")
            if block in blocks:
                blocks[block][position] = conv
        return blocks

    def rectified_sums(self) -> dict[str, str]:
        """The residual addition whose sum an activation takes, by the activation."""
        additions = {operation.name for operation in self.operations if isinstance(operation, Add)}
        return {
            operation.name: operation.sources[0]
            for operation in self.operations
            if isinstance(operation, Activation) and operation.sources[0] in additions
        }

    def run(self, images: Any, compute: Callable[..., Any]) -> Any:
        """The logits of images; `compute(operation, *inputs)` is the result of one operation.

        A result is forgotten after its last use, so that its memory is free unless a gradient needs it.
        """
        last: Any = images
        results = {IMAGE: images}
        uses = Counter(source for operation in self.operations for source in operation.sources)
        for operation in self.operations:
            last = results[operation.name] = compute(operation, *(results[source] for source in operation.sources))
            for source in operation.sources:
                uses[source] -= 1
                if not uses[source]:
                    del results[source]
        return last

    def layers(self) -> Iterator[Layer]:
        """All layers in the order of computation, the loss included."""
        shapes = self.shapes()
        for operation in self.operations:
            yield _layer(operation, shapes[operation.sources[0]], shapes[operation.name])
        yield Layer("loss", OperatorCategory.LOSS, 5 * CLASSES, 2 * CLASSES, 2 * CLASSES, 0)


def _output_shape(operation: Operation, inputs: Shape) -> Shape:
    match operation:
        case Conv() | Pool():
            channels = operation.out if isinstance(operation, Conv) else inputs[0]
            padded = inputs[1] + 2 * operation.padding
            side = (padded - operation.kernel) // operation.stride + 1
            return channels, side, side
        case GlobalPool():
            return inputs[:1]
        case Linear():
            return (operation.out,)
        case _:
            return inputs


def _parameters(operation: Operation) -> dict[str, Shape]:
    """The shapes of an operation's parameters, `weight` and `bias`."""
    match operation:
        case Conv():
            bias: dict[str, Shape] = {"bias": (operation.out,)} if operation.has_bias else {}
            return {"weight": (operation.out, operation.inputs, operation.kernel, operation.kernel), **bias}
        case BatchNorm():
            return {"weight": (operation.channels,), "bias": (operation.channels,)}
        case Linear():
            return {"weight": (operation.out, operation.inputs), "bias": (operation.out,)}
        case _:
            return {}


def _layer(operation: Operation, inputs: Shape, output: Shape) -> Layer:
    """The work of an operation. Images need no gradient."""
    read, written = prod(inputs), prod(output)
    moved, weights = read + written, sum(map(prod, _parameters(operation).values()))
    name = operation.name
    match operation:
        case Conv():
            flops = 2 * written * operation.inputs * operation.kernel**2
            backward = flops if operation.sources[0] == IMAGE else 2 * flops
            return Layer(name, OperatorCategory.CONVOLUTION, flops, backward, moved, weights)
        case BatchNorm():  # eight operations per number
            return Layer(name, OperatorCategory.NORMALISATION, 8 * written, 8 * written, moved, weights)
        case Activation():
            return Layer(name, OperatorCategory.ACTIVATION, written, written, moved, 0)
        case Add():  # it passes its gradient on unchanged
            return Layer(name, OperatorCategory.ELEMENTWISE, written, 0, moved + read, 0)
        case Pool():  # the gradient of a maximum belongs to one number of the window
            window = written * operation.kernel**2
            backward = written if operation.function == "max" else window
            return Layer(name, OperatorCategory.POOLING, window, backward, moved, 0)
        case GlobalPool():
            return Layer(name, OperatorCategory.POOLING, read, read, moved, 0)
        case Linear():
            flops = 2 * operation.inputs * operation.out
            return Layer(name, OperatorCategory.LINEAR, flops, 2 * flops, moved, weights)


LARGE_IMAGE = 64
"""rows of an image from which a residual network has the stem of the original, for ImageNet"""
WIDTHS = (64, 128, 256, 512)
"""channels of the convolutions of layer1 to layer4"""


def _residual_network(
    name: str, title: str, blocks: tuple[int, ...], expansion: int, image_size: int
) -> Architecture:
    """A network of He et al. (2016); `blocks` per stage, whose outputs have `expansion` times its channels.

    An expansion of 4 makes each block a bottleneck, with the stride in its 3 x 3 convolution, as in torchvision.
    """
    operations = list(_stem(image_size))
    channels = WIDTHS[0]
    for stage, (width, count) in enumerate(zip(WIDTHS, blocks, strict=True), start=1):
        for block in range(count):
            stride = 2 if stage > 1 and block == 0 else 1
            source = operations[-1].name
            operations += _residual_block(f"layer{stage}.{block}", source, channels, width, stride, expansion)
            channels = width * expansion
    operations += [GlobalPool("pool", (operations[-1].name,)), Linear("fc", ("pool",), channels, CLASSES)]
    return Architecture(name, title, image_size, tuple(operations))


def _stem(image_size: int) -> Iterator[Operation]:
    """A 7 x 7 convolution and a max pooling, which make the image 4 times smaller.

    For small images, as in the article, a 3 x 3 convolution that keeps their size.
    """
    is_large = image_size >= LARGE_IMAGE
    kernel, stride, padding = (7, 2, 3) if is_large else (3, 1, 1)
    yield Conv("stem.conv", (IMAGE,), IMAGE_CHANNELS, WIDTHS[0], kernel, stride, padding)
    yield BatchNorm("stem.bn", ("stem.conv",), WIDTHS[0])
    yield Activation("stem.relu", ("stem.bn",), "relu")
    if is_large:
        yield Pool("stem.pool", ("stem.relu",), "max", 3, 2, 1)


def _residual_block(
    name: str, source: str, channels: int, width: int, stride: int, expansion: int
) -> Iterator[Operation]:
    """Two or three convolutions, the shortcut, and their sum; `channels` are those of `source`."""
    out = width * expansion
    basic = ((3, width, stride), (3, out, 1))
    convs = basic if expansion == 1 else ((1, width, 1), (3, width, stride), (1, out, 1))
    last, inputs = source, channels
    for number, (kernel, outputs, step) in enumerate(convs, start=1):
        yield Conv(f"{name}.conv{number}", (last,), inputs, outputs, kernel, step, kernel // 2)
        yield BatchNorm(f"{name}.bn{number}", (f"{name}.conv{number}",), outputs)
        last, inputs = f"{name}.bn{number}", outputs
        if number < len(convs):
            yield Activation(f"{name}.relu{number}", (last,), "relu")
            last = f"{name}.relu{number}"
    shortcut = source
    if stride != 1 or channels != out:
        shortcut = f"{name}.downsample.bn"
        yield Conv(f"{name}.downsample.conv", (source,), channels, out, 1, stride)
        yield BatchNorm(shortcut, (f"{name}.downsample.conv",), out)
    yield Add(f"{name}.add", (last, shortcut))
    yield Activation(f"{name}.relu{len(convs)}", (f"{name}.add",), "relu")


def _lenet5(image_size: int) -> Architecture:
    """LeNet-5 of LeCun et al. (1998) with plain mean pooling and full connections, as in Lucid's `lenet_5`."""
    side = ((image_size - 4) // 2 - 4) // 2
    operations = (
        Conv("layer1.conv", (IMAGE,), IMAGE_CHANNELS, 6, 5, has_bias=True),
        Activation("layer1.tanh", ("layer1.conv",), "tanh"),
        Pool("layer1.pool", ("layer1.tanh",), "mean", 2, 2),
        Conv("layer2.conv", ("layer1.pool",), 6, 16, 5, has_bias=True),
        Activation("layer2.tanh", ("layer2.conv",), "tanh"),
        Pool("layer2.pool", ("layer2.tanh",), "mean", 2, 2),
        Linear("layer3.linear", ("layer2.pool",), 16 * side**2, 120),
        Activation("layer3.tanh", ("layer3.linear",), "tanh"),
        Linear("layer4.linear", ("layer3.tanh",), 120, 84),
        Activation("layer4.tanh", ("layer4.linear",), "tanh"),
        Linear("fc", ("layer4.tanh",), 84, CLASSES),
    )
    return Architecture("lenet5", "LeNet-5", image_size, operations)


ARCHITECTURES: Mapping[str, Callable[[int], Architecture]] = {
    "resnet18": partial(_residual_network, "resnet18", "ResNet-18", (2, 2, 2, 2), 1),
    "resnet34": partial(_residual_network, "resnet34", "ResNet-34", (3, 4, 6, 3), 1),
    "resnet50": partial(_residual_network, "resnet50", "ResNet-50", (3, 4, 6, 3), 4),
    "lenet5": _lenet5,
}
"""by name, for images of a size"""
IMAGE_SIZES = range(16, 1025)
"""LeNet-5 leaves nothing of a smaller image."""


def find_architecture(network: Network) -> Architecture:
    """The description of a network. Raises UserError for an unknown name, or an image size outside `IMAGE_SIZES`."""
    if network.model not in ARCHITECTURES:
        raise UserError(f"no model {network.model!r}; choose one of: {', '.join(ARCHITECTURES)}")
    if network.image_size not in IMAGE_SIZES:
        raise UserError(f"image size {network.image_size} is not between {IMAGE_SIZES[0]} and {IMAGE_SIZES[-1]}")
    return ARCHITECTURES[network.model](network.image_size)


resnet18 = find_architecture(DEFAULT_NETWORK)
"""the article's network"""

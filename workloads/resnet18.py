"""The network that every adapter trains, as data: ResNet-18 for 32x32 images, and its hyper-parameters.

As in the article, Conv3x3(3, 64, stride 1, padding 1, no bias) + BN + ReLU replaces the ImageNet stem, and the
identity replaces the max pooling.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from epoch_gap.profiler.drilldown.roofline import Layer
from epoch_gap.profiler.drilldown.spans import OperatorCategory

CLASSES = 10
IMAGE_CHANNELS = 3
STEM_CHANNELS = 64
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
"""(channels, stride of the first block) of layer1 to layer4"""
BLOCKS_PER_STAGE = 2


class Conv(NamedTuple):
    """One convolution without bias, followed by batch normalisation of `out` channels."""

    name: str
    inputs: int
    out: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class Adam:
    """The optimizer, the same in every framework."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 5e-4


@dataclass(frozen=True)
class StepLR:
    """lr(epoch) = lr * gamma ** (epoch // step_size)"""

    step_size: int
    gamma: float

    def lr(self, epoch: int) -> float:
        """The learning rate of an epoch, from 0."""
        return ADAM.lr * self.gamma ** (epoch // self.step_size)


ADAM = Adam()
LUCID_SCHEDULE = StepLR(step_size=5, gamma=0.5)
TORCH_SCHEDULE = StepLR(step_size=10, gamma=0.1)


def convolutions() -> Iterator[Conv]:
    """All convolutions from the image to the last block, shortcuts included."""
    yield Conv("stem", IMAGE_CHANNELS, STEM_CHANNELS, 3, 1)
    inputs = STEM_CHANNELS
    for stage, (channels, stage_stride) in enumerate(STAGES, start=1):
        for block in range(BLOCKS_PER_STAGE):
            name, stride = f"layer{stage}.{block}", stage_stride if block == 0 else 1
            yield Conv(f"{name}.conv1", inputs, channels, 3, stride)
            yield Conv(f"{name}.conv2", channels, channels, 3, 1)
            if stride != 1 or inputs != channels:
                yield Conv(f"{name}.downsample", inputs, channels, 1, stride)
            inputs = channels


def blocks() -> dict[str, dict[str, Conv]]:
    """The convolutions of each residual block: conv1, conv2 and, if the shape changes, downsample."""
    blocks: dict[str, dict[str, Conv]] = {}
    _, *in_blocks = convolutions()
    for conv in in_blocks:
        block, _, position = conv.name.rpartition(".")
        blocks.setdefault(block, {})[position] = conv
    return blocks


def parameters() -> Iterator[tuple[str, tuple[int, ...]]]:
    """(canonical name, shape) of every trainable parameter; kernels are (out, in, rows, columns)."""
    for conv in convolutions():
        name, norm = _layer_names(conv)
        yield f"{name}.weight", (conv.out, conv.inputs, conv.kernel, conv.kernel)
        yield from ((f"{norm}.weight", (conv.out,)), (f"{norm}.bias", (conv.out,)))
    yield from (("fc.weight", (CLASSES, STAGES[-1][0])), ("fc.bias", (CLASSES,)))


def _layer_names(conv: Conv) -> tuple[str, str]:
    """The canonical names of a convolution and of its normalisation."""
    block, _, position = conv.name.rpartition(".")
    if position.startswith("conv"):
        return conv.name, f"{block}.bn{position.removeprefix('conv')}"
    return f"{conv.name}.conv", f"{conv.name}.bn"


SIDE = 32
"""rows and columns of an image, in pixels"""


def layers() -> Iterator[Layer]:
    """All layers in the order of computation."""
    stem = next(convolutions())
    yield from _convolution("stem.conv", "stem.bn", stem, SIDE)
    yield _elementwise("stem.relu", OperatorCategory.ACTIVATION, stem.out * SIDE**2)
    side = SIDE
    for block, convs in blocks().items():
        first, second = convs["conv1"], convs["conv2"]
        out = side // first.stride
        numbers = second.out * out**2
        yield from _convolution(f"{block}.conv1", f"{block}.bn1", first, side)
        yield _elementwise(f"{block}.relu1", OperatorCategory.ACTIVATION, numbers)
        yield from _convolution(f"{block}.conv2", f"{block}.bn2", second, out)
        if "downsample" in convs:
            name = f"{block}.downsample"
            yield from _convolution(f"{name}.conv", f"{name}.bn", convs["downsample"], side)
        yield _elementwise(f"{block}.add", OperatorCategory.ELEMENTWISE, numbers)
        yield _elementwise(f"{block}.relu2", OperatorCategory.ACTIVATION, numbers)
        side = out
    channels = STAGES[-1][0]
    numbers, products = channels * side**2, 2 * channels * CLASSES
    yield Layer("pool", OperatorCategory.POOLING, numbers, numbers, numbers + channels, 0)
    yield Layer("fc", OperatorCategory.LINEAR, products, 2 * products, channels + CLASSES, (channels + 1) * CLASSES)
    yield Layer("loss", OperatorCategory.LOSS, 5 * CLASSES, 2 * CLASSES, 2 * CLASSES, 0)


def _convolution(name: str, norm: str, conv: Conv, side: int) -> Iterator[Layer]:
    """A convolution of `side` x `side` inputs, and its batch normalisation (eight operations per number)."""
    numbers = conv.out * (side // conv.stride) ** 2
    weights = conv.inputs * conv.out * conv.kernel**2
    flops = 2 * numbers * conv.inputs * conv.kernel**2
    backward = flops if conv.inputs == IMAGE_CHANNELS else 2 * flops  # images need no gradient
    yield Layer(name, OperatorCategory.CONVOLUTION, flops, backward, conv.inputs * side**2 + numbers, weights)
    yield Layer(norm, OperatorCategory.NORMALISATION, 8 * numbers, 8 * numbers, 2 * numbers, 2 * conv.out)


def _elementwise(name: str, category: OperatorCategory, numbers: int) -> Layer:
    """One operation per number; an addition passes its gradient on unchanged."""
    adds = category is OperatorCategory.ELEMENTWISE
    return Layer(name, category, numbers, 0 if adds else numbers, (3 if adds else 2) * numbers, 0)


def parameter_count() -> int:
    """The number of trainable parameters: kernels, scale and shift per normalised channel, and the linear layer."""
    convs = sum(c.inputs * c.out * c.kernel**2 + 2 * c.out for c in convolutions())
    return convs + (STAGES[-1][0] + 1) * CLASSES

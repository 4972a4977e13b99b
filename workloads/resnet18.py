"""What every adapter trains: ResNet-18 for 32x32 images and its hyper-parameters, as data.

The article's network: the ImageNet stem is replaced by Conv3x3(3, 64, stride 1, padding 1, no bias) + BN + ReLU,
and the max pooling by the identity.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

CLASSES = 10
IMAGE_CHANNELS = 3
STEM_CHANNELS = 64
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
"""(channels, stride of the first block) of layer1 to layer4"""
BLOCKS_PER_STAGE = 2


class Conv(NamedTuple):
    """One convolution without bias, followed by a batch normalisation of `out` channels."""

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


ADAM = Adam()
LUCID_SCHEDULE = StepLR(step_size=5, gamma=0.5)
TORCH_SCHEDULE = StepLR(step_size=10, gamma=0.1)


def convolutions() -> Iterator[Conv]:
    """Every convolution from the image to the last block, shortcuts included."""
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


def parameter_count() -> int:
    """Trainable numbers: kernels, a scale and a shift per normalised channel, and the linear layer."""
    convs = sum(c.inputs * c.out * c.kernel**2 + 2 * c.out for c in convolutions())
    return convs + (STAGES[-1][0] + 1) * CLASSES

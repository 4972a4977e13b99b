"""Initial weights that all frameworks share: drawn once from the seed, by NumPy."""

from collections.abc import Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray

from epoch_gap.workloads import resnet18
from epoch_gap.workloads.framework import Weights

INITIALISATION = "shared: kaiming_normal fan_out convolutions, uniform linear, drawn by NumPy from the seed"


def draw_weights(seed: int) -> Weights:
    """Every trainable parameter by canonical name.

    As in torchvision's resnet18: convolutions are normal with variance 2 / (out x rows x columns) (He et al. 2015),
    normalisations start as the identity, and the linear layer is uniform within 1 / sqrt(inputs).
    """
    generator = np.random.default_rng(seed)
    shapes = dict(resnet18.parameters())
    return {name: _draw(name, shapes, generator) for name in shapes}


def _draw(name: str, shapes: Mapping[str, tuple[int, ...]], generator: np.random.Generator) -> NDArray[np.float32]:
    shape = shapes[name]
    if len(shape) == 4:
        out, _, *kernel = shape
        return generator.normal(0, np.sqrt(2 / (out * prod(kernel))), shape).astype(np.float32)
    if name.startswith("fc."):
        bound = 1 / np.sqrt(shapes["fc.weight"][1])
        return generator.uniform(-bound, bound, shape).astype(np.float32)
    return np.full(shape, 1.0 if name.endswith(".weight") else 0.0, np.float32)

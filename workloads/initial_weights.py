"""Initial weights that all frameworks share: drawn once from the seed, by NumPy."""

from collections.abc import Mapping
from math import prod

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.parity.tensors import layer_of
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.framework import Weights

INITIALISATION = "shared: kaiming_normal fan_out convolutions, uniform linear, drawn by NumPy from the seed"


def draw_weights(architecture: Architecture, seed: int) -> Weights:
    """Every trainable parameter by canonical name.

    As in torchvision's ResNets: convolutions are normal with variance 2 / (out x rows x columns) (He et al. 2015),
    normalisations start as the identity, and linear layers and all biases are uniform within 1 / sqrt(fan-in).
    """
    generator = np.random.default_rng(seed)
    shapes = dict(architecture.parameters())
    return {name: _draw(name, shapes, generator) for name in shapes}


def _draw(name: str, shapes: Mapping[str, tuple[int, ...]], generator: np.random.Generator) -> NDArray[np.float32]:
    shape, weight = shapes[name], shapes[f"{layer_of(name)}.weight"]
    if len(weight) == 1:  # a normalisation
        return np.full(shape, 1.0 if name.endswith(".weight") else 0.0, np.float32)
    if len(shape) == 4:
        out, _, *kernel = shape
        return generator.normal(0, np.sqrt(2 / (out * prod(kernel))), shape).astype(np.float32)
    bound = 1 / np.sqrt(prod(weight[1:]))
    return generator.uniform(-bound, bound, shape).astype(np.float32)

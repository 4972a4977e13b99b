"""Adapters built small, and images for them."""

from importlib.util import find_spec
from typing import Any

import numpy as np

from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, Network
from epoch_gap.workloads import registry
from epoch_gap.workloads.cifar10.resized import ResizedImages
from epoch_gap.workloads.cifar10.synthetic import make_synthetic
from epoch_gap.workloads.framework import Framework, LayerTimings, Watch
from epoch_gap.workloads.registry import Options

BATCH, STEPS, SEED = 2, 2, 7
"""`STEPS` full batches of `BATCH` images"""
SMALL = 16
"""pixels of a side: a quarter of the work of CIFAR-10's, in the same layers"""


SIDES = [("fake", "cpu"), ("torch", "cpu"), ("lucid", "cpu"), ("lucid", "gpu"), ("mlx", "cpu")]
FUNCTIONAL = [
    (name, "cpu") for name in ("jax", "keras_torch") if all(map(find_spec, registry.FRAMEWORKS[name].modules))
]
"""the functional cores that are installed and can be in one process; their contract is in test_contract.py"""


def images(count: int, side: int = SMALL) -> tuple[Any, Any]:
    """Images, float32 (count, 3, side, side), and their labels, int64 (count,)."""
    made = make_synthetic(count, 10, SEED)
    stride = made.x_train.shape[-1] // side
    pixels = np.ascontiguousarray(made.x_train[:count, :, ::stride, ::stride])
    return (pixels / np.float32(255)).astype(np.float32), made.y_train[:count].astype(np.int64)


def resized(count: int, side: int) -> tuple[ResizedImages, Any]:
    """Images (count, 3, side, side) over CIFAR-10's size, and their labels."""
    x, y = images(count, 32)
    return ResizedImages(x, side), y


def build(name: str, device: str, network: Network = DEFAULT_NETWORK) -> Framework:
    """The framework; the scripted one without costs."""
    costs = "" if registry.FRAMEWORKS[name].is_scripted else None
    return registry.build(name, Options(device, SEED, BATCH, network=network, costs=costs))


def layer_timings(framework: Framework) -> LayerTimings:
    timings = framework.layer_timings
    assert timings is not None
    return timings


def operators_watch(framework: Framework) -> Watch:
    timings = layer_timings(framework)
    return timings.operators or timings.layers

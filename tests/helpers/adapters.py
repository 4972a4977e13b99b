"""Adapters built small, and images for them."""

from typing import Any

import numpy as np

from epoch_gap.workloads import registry
from epoch_gap.workloads.cifar10.synthetic import make_synthetic
from epoch_gap.workloads.framework import Framework

BATCH, STEPS, SEED = 2, 3, 7


SIDES = [("fake", "cpu"), ("torch", "cpu"), ("lucid", "cpu"), ("lucid", "gpu"), ("mlx", "cpu")]


SCRIPT = {"batch_size": BATCH, "costs": "", "lazy": False}


def images(count: int) -> tuple[Any, Any]:
    made = make_synthetic(count, 10, SEED)
    return (made[0][:count] / np.float32(255)).astype(np.float32), made[1][:count].astype(np.int64)


def build(name: str, device: str) -> Framework:
    return registry.build(name, device, SEED, **SCRIPT)

"""Roofline model: measured peak rates, and the shortest time that they allow for each layer.

Williams, Waterman, Patterson: "Roofline: an insightful visual performance model for multicore architectures" (2009).
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from epoch_gap.profiler.drilldown.spans import Direction, OperatorCategory

SIDE = 2048
"""rows and columns of the matrices that are multiplied"""
COPIED = 32_000_000
"""numbers that are copied: far more than fit into the caches"""
REPEATS = 5
FLOAT_BYTES = 4


class Layer(NamedTuple):
    """The work of one layer of the network, per image; a multiply-accumulate counts as two operations."""

    name: str
    """canonical: stem.conv, layer1.0.conv1, ..., pool, fc, loss"""
    category: OperatorCategory
    forward_flops: int
    backward_flops: int
    """for the gradients of weights and of inputs, each as many as forward; images need no gradient"""
    activations: int
    """numbers that the forward pass reads and writes; the backward pass moves about twice as many"""
    weights: int


def shortest_seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """The shortest of `repeats` runs of `work`, in seconds, after one untimed run."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def numpy_peak_rates() -> dict[str, float]:
    """Peak rates of this machine through NumPy: GFLOP/s of a float32 matrix product, GB/s of a copy."""
    a, b = (np.random.default_rng(seed).random((SIDE, SIDE), np.float32) for seed in (1, 2))
    product = np.empty_like(a)
    source = np.ones(COPIED, np.float32)
    target = np.empty_like(source)
    return measured_rates("NumPy", lambda: np.matmul(a, b, out=product), lambda: np.copyto(target, source))


def measured_rates(library: str, product: Callable[[], object], copy: Callable[[], object]) -> dict[str, float]:
    """Rates of a product of two float32 matrices of side `SIDE` and of a copy of `COPIED` float32 numbers.

    A copy moves each number twice: it is read and written.
    """
    return {
        f"{library} GFLOP/s": 2 * SIDE**3 / shortest_seconds(product) / 1e9,
        f"{library} GB/s": 2 * FLOAT_BYTES * COPIED / shortest_seconds(copy) / 1e9,
    }


def peak_rate(peak_rates: Mapping[str, float], unit: str) -> float:
    """The highest rate of any library in `unit`, GFLOP/s or GB/s."""
    return max(rate for name, rate in peak_rates.items() if name.endswith(unit))


def highest_rates(measurements: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The highest rate of each library in several measurements on one machine; empty without any."""
    highest: dict[str, float] = {}
    for peak_rates in measurements:
        for name, rate in peak_rates.items():
            highest[name] = max(rate, highest.get(name, rate))
    return highest


def flops(layer: Layer, direction: Direction, images: int) -> int:
    """Operations of a layer in one step of `images` images, in one direction."""
    return images * (layer.forward_flops if direction is Direction.FORWARD else layer.backward_flops)


def least_bytes(layer: Layer, direction: Direction, images: int) -> int:
    """The minimum number of bytes that a layer must read and write for a batch of `images` images."""
    passes = 1 if direction is Direction.FORWARD else 2
    return passes * (layer.activations * images + layer.weights) * FLOAT_BYTES


def least_seconds(layer: Layer, direction: Direction, images: int, peak_rates: Mapping[str, float]) -> float:
    """The shortest time of a layer for a batch of `images` images at the peak rates.

    The longer of its operations at the peak GFLOP/s and its minimum bytes at the peak GB/s. A layer whose data stay
    in a cache can be faster.
    """
    operations = flops(layer, direction, images)
    if not operations:
        return 0.0
    moved = least_bytes(layer, direction, images)
    return max(operations / peak_rate(peak_rates, "GFLOP/s"), moved / peak_rate(peak_rates, "GB/s")) / 1e9


def share_of_peak(
    layer: Layer, direction: Direction, images: int, peak_rates: Mapping[str, float], seconds: float
) -> float | None:
    """`least_seconds` over a layer's measured `seconds`; None if no peak rate is known."""
    return least_seconds(layer, direction, images, peak_rates) / seconds if peak_rates else None

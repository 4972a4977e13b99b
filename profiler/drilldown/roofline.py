"""What the machine can do: the roof under which every layer's time lies (Williams, Waterman, Patterson 2009)."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from epoch_gap.profiler.drilldown.spans import Direction, Family

SIDE = 2048
"""of the matrices, rows"""
COPIED = 32_000_000
"""numbers: far more than the caches hold"""
REPEATS = 5
FLOAT_BYTES = 4


class Layer(NamedTuple):
    """One layer of the network, per image; a multiply-accumulate counts as two operations."""

    name: str
    """canonical: stem.conv, layer1.0.conv1, ..., pool, fc, loss"""
    family: Family
    forward_flops: int
    backward_flops: int
    """gradients of weights and, but for the first layer, of inputs: for a product as many again each"""
    activations: int
    """numbers that it reads and writes going forward; going backward about twice as many"""
    weights: int


def best_of(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """The shortest of several runs of `work`, s; one more before them warms it up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def numpy_ceilings() -> dict[str, float]:
    """GFLOP/s of a float32 matrix product and GB/s of a copy (read and written), through NumPy."""
    a, b = (np.random.default_rng(seed).random((SIDE, SIDE), np.float32) for seed in (1, 2))
    product = np.empty_like(a)
    source = np.ones(COPIED, np.float32)
    target = np.empty_like(source)
    return rates("NumPy", lambda: np.matmul(a, b, out=product), lambda: np.copyto(target, source))


def rates(library: str, product: Callable[[], object], copy: Callable[[], object]) -> dict[str, float]:
    """The two rates by name, from a product of `SIDE`-sided matrices and a copy of `COPIED` numbers."""
    return {
        f"{library} GFLOP/s": 2 * SIDE**3 / best_of(product) / 1e9,
        f"{library} GB/s": 2 * FLOAT_BYTES * COPIED / best_of(copy) / 1e9,
    }


def peak(ceilings: Mapping[str, float], unit: str) -> float:
    """The highest rate of any library, in GFLOP/s or GB/s."""
    return max(rate for name, rate in ceilings.items() if name.endswith(unit))


def best(measured: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """One machine's ceilings from several measurements: the highest rate of each library; empty without any."""
    found: dict[str, float] = {}
    for ceilings in measured:
        for name, rate in ceilings.items():
            found[name] = max(rate, found.get(name, rate))
    return found


def flops(layer: Layer, direction: Direction, images: int) -> int:
    """Operations of one step in one direction."""
    return images * (layer.forward_flops if direction is Direction.FORWARD else layer.backward_flops)


def least_seconds(layer: Layer, direction: Direction, images: int, ceilings: Mapping[str, float]) -> float:
    """A layer's shortest time for a batch of `images`: its operations at the peak, or its bytes if these need more.

    Bytes are what has to be read and written at least once; what stays in a cache can be faster.
    """
    operations = flops(layer, direction, images)
    if not operations:
        return 0.0
    moved = least_bytes(layer, direction, images)
    return max(operations / peak(ceilings, "GFLOP/s"), moved / peak(ceilings, "GB/s")) / 1e9


def of_roof(
    layer: Layer, direction: Direction, images: int, ceilings: Mapping[str, float], seconds: float
) -> float | None:
    """The share of a layer's `seconds` that `least_seconds` asks for; None where the ceilings are not known."""
    return least_seconds(layer, direction, images, ceilings) / seconds if ceilings else None


def least_bytes(layer: Layer, direction: Direction, images: int) -> int:
    """What has to be read and written at least once for a batch of `images`."""
    passes = 1 if direction is Direction.FORWARD else 2
    return passes * (layer.activations * images + layer.weights) * FLOAT_BYTES

"""A hand-made parity check, and CIFAR-10-like data of any size for real ones."""

from typing import Any

import numpy as np

from epoch_gap.profiler.parity.definitions import DefinitionDifference
from epoch_gap.profiler.parity.result import Parity, ParityData, RoundedRun, Side
from epoch_gap.profiler.parity.tensors import Quantity, Trace, Traces
from epoch_gap.profiler.storage.manifest import DataKind
from epoch_gap.workloads.cifar10.load import Cifar10
from tests.helpers.adapters import images

BIASED = DefinitionDifference(
    "variance of the running statistics",
    ("stem.bn", "layer1.0.bn1", "layer1.0.bn2"),
    1.0667,
    "unbiased (divided by n - 1)",
    1.0,
    "biased (divided by n)",
)


def parity(**changes: Any) -> Parity:
    """Two steps of two frameworks that differ in the variance of `stem.bn` alone."""
    values: dict[str, Any] = {
        "reference": side("torch", "PyTorch", 2.0, 1.5),
        "other": side("lucid", "Lucid", 2.0, 1.5005),
        "rounded": (
            RoundedRun(label="channels renumbered (1)", losses=(2.0, 1.501)),
            RoundedRun(label="1 thread", losses=(2.0, 1.5002), threads=1),
            RoundedRun(label="2 threads", losses=(2.0, 1.5), threads=2),
        ),
        "data": ParityData(kind=DataKind.SYNTHETIC, source="synthetic", sha256="0123456789abcdef"),
        "batch_size": 8,
        "seed": 42,
        "tolerance": 1e-4,
        "definitions": (BIASED,),
        "traces": traces(),
    }
    return Parity(**{**values, **changes})


def side(name: str, title: str, *losses: float | None) -> Side:
    return Side(name=name, title=title, version="1.2+cpu", device="cpu", losses=losses)


def traces() -> Traces:
    return {
        Quantity.OUTPUT: {"stem.conv": Trace([1e-7, 1e-3], [1e-7, 1e-3]), "fc": Trace([2e-6, 2e-3], [1e-6, 1e-3])},
        Quantity.STATISTICS: {"stem.bn": Trace([5e-4, 9e-4], [1e-8, 5e-4])},
        Quantity.LOSS: {"loss": Trace([0.0, 3e-4], [0.0, 6e-4])},
        Quantity.GRADIENT: {"stem.conv": Trace([4e-3, 0.2], [2e-3, 0.1])},
        Quantity.WEIGHT: {"stem.conv": Trace([1e-3, 2e-3], [1e-3, 2e-3])},
    }


def small_data(count: int) -> Cifar10:
    """Images of 16 x 16."""
    x, y = images(count)
    return Cifar10(x, y, x[:1], y[:1], "synthetic", "synthetic", "0" * 64, None)


def normalise(x: Any, eps: float, axis: tuple[int, ...] = (0, 2, 3)) -> Any:
    """The definition of batch normalisation, in float64."""
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps)

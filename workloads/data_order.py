"""The order of the training images: each framework's own shuffle, or one order for all frameworks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.framework import Batch


class DataOrder(StrEnum):
    """Who draws the order of the training images; the values are options and stored."""

    FRAMEWORK = "framework"
    """the framework's own loader shuffles, as in the article"""
    SHARED = "shared"
    """the workload draws it from the seed: the same images in the same order in every framework"""


@dataclass(frozen=True)
class SharedOrder:
    """A loader in the shared order. Each pass draws the next order and then hands over the loader's own iterator."""

    loader: Iterable[Batch]
    """the framework's own, over the images that `order` names"""
    order: list[int]
    """the indices of the current epoch, changed in place"""
    generator: np.random.Generator

    def __iter__(self) -> Iterator[Batch]:
        self.order[:] = self.generator.permutation(len(self.order)).tolist()
        return iter(self.loader)


def share_order(build: Callable[[list[int]], Iterable[Batch]], images: int, seed: int) -> Iterable[Batch]:
    """The loader that `build` makes of a list of indices, which holds a new order of all `images` in each epoch."""
    order = list(range(images))
    return SharedOrder(build(order), order, np.random.default_rng(seed))


def own_loader(loader: Iterable[Batch]) -> Iterable[Batch]:
    """The framework's own loader, in whatever order it reads."""
    return loader.loader if isinstance(loader, SharedOrder) else loader


def describe_order(order: DataOrder, seed: int) -> Mapping[str, Any]:
    """What a shared order changes in the conditions that a framework describes."""
    if order is DataOrder.FRAMEWORK:
        return {}
    return {"data_order": f"shared: NumPy's default_rng({seed}), a new permutation in each epoch"}


def describe_clocks(order: DataOrder) -> Mapping[Phase, str]:
    """What a shared order changes in the clocks that a framework describes."""
    if order is DataOrder.FRAMEWORK:
        return {}
    return {Phase.EPOCH_START: "model.train(), the permutation of the shared order, iter(loader)"}

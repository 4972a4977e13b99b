"""The article's input pipeline for frameworks without their own: one item per index, batches by np.stack."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epoch_gap.workloads.framework import Images, Labels

Item = tuple[NDArray[np.float32], np.int64]


class NumpyDataset:
    """(image, label) by index, from images (N, 3, rows, columns) and labels (N,)."""

    def __init__(self, images: Images, labels: Labels) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Item:
        return self.images[index], self.labels[index]


class ShuffledBatches:
    """A loader for frameworks without one.

    With `shuffle`, each pass draws a new order from NumPy's generator. Otherwise it reads `order`, or all images.
    """

    def __init__(
        self,
        dataset: NumpyDataset,
        batch_size: int,
        shuffle: bool,
        collate: Callable[[Sequence[Item]], Any],
        order: Sequence[int] | None = None,
    ) -> None:
        self.dataset, self._batch_size, self._shuffle, self._collate = dataset, batch_size, shuffle, collate
        self._order = range(len(dataset)) if order is None else order

    def __iter__(self) -> Iterator[Any]:
        return self._batches(np.random.permutation(len(self.dataset)) if self._shuffle else self._order)

    def _batches(self, order: Sequence[int] | NDArray[np.int64]) -> Iterator[Any]:
        for start in range(0, len(order), self._batch_size):
            yield self._collate([self.dataset[i] for i in order[start : start + self._batch_size]])


def numpy_collate(items: Sequence[Item]) -> tuple[Images, Labels]:
    """Stack items into (images (B, 3, rows, columns), labels (B,))."""
    images, labels = zip(*items, strict=True)
    return np.stack(images), np.stack(labels).astype(np.int64)

"""The article's input path for a NumPy framework: one item per index, batches by np.stack."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workloads.framework import Images, Labels

Item = tuple[NDArray[np.float32], np.int64]


class NumpyDataset:
    """(image, label) by index from arrays of shape (N, 3, 32, 32) and (N,)."""

    def __init__(self, images: Images, labels: Labels) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Item:
        return self.images[index], self.labels[index]


def numpy_collate(items: Sequence[Item]) -> tuple[Images, Labels]:
    """Stack items into (images (B, 3, 32, 32), labels (B,))."""
    images, labels = zip(*items, strict=True)
    return np.stack(images), np.stack(labels).astype(np.int64)

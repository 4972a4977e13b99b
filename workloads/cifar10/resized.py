"""Images of another size than CIFAR-10's, made by nearest neighbour when they are read.

Nothing is kept: all training images of 224 x 224 would take 30 GB. The work of resizing belongs to the phase that
reads the images, `fetch`, as in a pipeline whose data set resizes each item.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.phases import Phase


class ResizedImages:
    """Images (N, C, size, size) over images (N, C, rows, columns).

    A pixel is that pixel of the original in which its centre lies: row r comes from row floor((r + 1/2) rows / size),
    as in PyTorch's interpolate(mode="nearest-exact"). No number is computed, so the result is exact.
    """

    def __init__(self, images: NDArray[np.float32], size: int) -> None:
        self._images, self._size = images, size
        self._rows, self._columns = ((2 * np.arange(size) + 1) * side // (2 * size) for side in images.shape[2:])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, size, size)"""
        return *self._images.shape[:2], self._size, self._size

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int | slice | Sequence[int]) -> NDArray[np.float32]:
        """One image (C, size, size) by its number, or several (B, C, size, size)."""
        originals: NDArray[np.float32] = np.asarray(self._images[index])
        resized: NDArray[np.float32] = originals.take(self._rows, axis=-2).take(self._columns, axis=-1)
        return resized


def describe_images(images: object) -> Mapping[str, Any]:
    """The condition of a run that tells how its images were resized; none if they were not."""
    if not isinstance(images, ResizedImages):
        return {}
    rows, columns = images.shape[2:]
    return {"images": f"{rows} x {columns}, by nearest neighbour, each when it is read"}


def describe_image_clocks(images: object) -> Mapping[Phase, str]:
    """What resizing changes in the clocks that a framework describes."""
    if not isinstance(images, ResizedImages):
        return {}
    return {Phase.FETCH: "next(loader): dataset[i] of the batch's indices, each resized by NumPy"}

"""Types that reading, caching and making CIFAR-10 images share: the stored form of the data, and their source."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError

SHAPE: Final = (3, 32, 32)
"""channels, rows and columns of an image"""

type Bytes = NDArray[np.uint8]
type Four[X: np.generic, Y: np.generic] = tuple[NDArray[X], NDArray[Y], NDArray[X], NDArray[Y]]
"""`x_train, y_train, x_test, y_test`"""
type Arrays = Four[np.float32, np.int64]
"""The data set for training: pixels and labels."""


class Images(NamedTuple):
    """The stored form of the data set: pixels (N, 3, 32, 32) and labels (N,) in 0..9, all uint8."""

    x_train: Bytes
    y_train: Bytes
    x_test: Bytes
    y_test: Bytes


@dataclass(frozen=True)
class Source:
    """A verified source of images; nothing is parsed before `read` is called."""

    name: str
    """the name in reports: a file name without its directory"""
    sha256: str
    read: Callable[[], Images]
    """raises UserError"""
    kind: str = "cifar10"
    official: bool = False
    """whether its checksum is the published one"""
    warning: str | None = None


def checked(x_train: Bytes, y_train: NDArray[Any], x_test: Bytes, y_test: NDArray[Any]) -> Images:
    """The images as contiguous arrays. Raises UserError unless there are as many labels, all in 0..9."""
    for split, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if not 0 < len(x) == len(y):
            raise UserError(f"{len(x)} images and {len(y)} labels in {split}; expected equal numbers, at least one")
        if y.min() < 0 or y.max() > 9:
            raise UserError(f"labels {y.min()} to {y.max()} in {split}; expected 0 to 9")
    pixels = np.ascontiguousarray
    return Images(pixels(x_train), y_train.astype(np.uint8), pixels(x_test), y_test.astype(np.uint8))


def digest_together(paths: Iterable[Path]) -> str:
    """The SHA-256 of the joined hexadecimal SHA-256s of several files."""
    return hashlib.sha256("".join(digest(path, "sha256") for path in paths).encode()).hexdigest()


def digest(path: Path, algorithm: str) -> str:
    """The hexadecimal digest of a file, which is read in small pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.new, algorithm, usedforsecurity=False)).hexdigest()

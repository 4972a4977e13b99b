"""CIFAR-10 as NumPy arrays, loaded the same way for all frameworks, so that they train on the same values.

`data` is a path (see `files.py`), `synthetic`, or `auto`: $CIFAR10_DATA, else the cache (`cache.py`), else
torchvision's download (`download.py`), else synthetic images with a warning.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads.cifar10.cache import Cache, default_folder
from epoch_gap.workloads.cifar10.download import DownloadError, downloaded_archive
from epoch_gap.workloads.cifar10.files import open_source
from epoch_gap.workloads.cifar10.images import SHAPE, Arrays, Four, Source
from epoch_gap.workloads.cifar10.resized import ResizedImages
from epoch_gap.workloads.cifar10.synthetic import identity, make_synthetic

CIFAR10_MEAN: Final = (0.4914, 0.4822, 0.4465)
CIFAR10_STD: Final = (0.2023, 0.1994, 0.2010)
CLASSES: Final = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
FULL_SIZE: Final = (50_000, 10_000)
"""training images, test images"""
SYNTHETIC_SEED: Final = 42

type Limits = tuple[int | None, int | None]
"""the largest numbers of training images and of test images; None for all"""


@dataclass(frozen=True)
class Cifar10:
    """The training and test arrays, and their source."""

    x_train: NDArray[np.float32] | ResizedImages
    """(N, 3, 32, 32), normalised; resized to another size when they are read"""
    y_train: NDArray[np.int64]
    """(N,), 0..9: see CLASSES"""
    x_test: NDArray[np.float32] | ResizedImages
    y_test: NDArray[np.int64]
    kind: str
    """cifar10 | synthetic"""
    source: str
    """the name in reports: a file name without its directory, else "torchvision", "cache" or "synthetic" """
    sha256: str
    """of the file (for a directory, see `open_source`), of torchvision's archive, of the source that filled the
    cache, or of the patterns of synthetic images"""
    warning: str | None
    """the reason why `auto` fell back to synthetic images, in one line"""


def load_cifar10(
    data: str = "auto",
    *,
    train_limit: int | None = None,
    test_limit: int | None = None,
    mmap: bool = False,
    cache_dir: Path | None = None,
    image_size: int = SHAPE[1],
) -> Cifar10:
    """Load the normalised data set, or a class-balanced part of it with at most as many images as the limits.

    With `mmap` the arrays are copy-on-write `np.memmap`s of files in the cache, unless a limit selects a part. With
    another `image_size`, in rows and columns, the images are resized when they are read.

    Raises:
        UserError: `data` or `$CIFAR10_DATA` cannot be used, or a limit is below 1.
    """
    source, arrays = _load(data, "c" if mmap else None, True, (train_limit, test_limit), cache_dir)
    loaded = Cifar10(*arrays, source.kind, source.name, source.sha256, source.warning)
    if image_size == SHAPE[1]:
        return loaded
    x_train, _, x_test, _ = arrays
    return replace(loaded, x_train=ResizedImages(x_train, image_size), x_test=ResizedImages(x_test, image_size))


def get_cifar10_numpy(
    data: str = "auto",
    *,
    normalize: bool = True,
    mmap_mode: str | None = None,
    train_limit: int | None = None,
    test_limit: int | None = None,
    cache_dir: Path | None = None,
) -> Arrays:
    """Return `x_train, y_train, x_test, y_test`: the article's function, `load_cifar10` without the source.

    Pixels are float32 (N, 3, 32, 32), `(x / 255 - mean) / std`, or only `x / 255` without `normalize`; labels
    are int64 (N,). `mmap_mode` is None, "r" or "c" as in `np.load`.

    Raises:
        UserError: as `load_cifar10`; or for another `mmap_mode`, which could change the cache.
    """
    _, arrays = _load(data, mmap_mode, normalize, (train_limit, test_limit), cache_dir)
    return arrays


def resolve_source(data: str) -> tuple[str, str | None]:
    """(data, warning): the `data` with which several processes load the same images, and a warning or None.

    `auto` is tried, with a download if necessary; if it falls back, the result is `synthetic` with a warning.

    Raises:
        UserError: as `load_cifar10`.
    """
    if data == "synthetic":
        return data, None
    source = _choose(data, (1, 1), Cache(default_folder()))
    if data != "auto":
        source.read()  # reports a bad file once, before the first process
    return ("synthetic", source.warning) if source.kind == "synthetic" else (data, None)


def balanced(labels: NDArray[np.integer], limit: int) -> NDArray[np.intp]:
    """The ascending indices of at most `limit` images: the first of each class, in numbers that differ by at most 1.

    If a class has too few images, the other classes make up the difference.
    """
    rank = np.empty(len(labels), np.intp)  # the number of an image within its class
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return np.sort(np.argsort(rank, kind="stable")[:limit])


def _load(
    data: str, mmap_mode: str | None, normalize: bool, limits: Limits, cache_dir: Path | None
) -> tuple[Source, Arrays]:
    if mmap_mode not in (None, "r", "c"):
        raise UserError(f"mmap_mode is {mmap_mode!r}; expected None, 'r' or 'c'")
    for name, limit in zip(("train_limit", "test_limit"), limits, strict=True):
        if limit is not None and limit < 1:
            raise UserError(f"{name} is {limit}; expected at least 1")
    cache = Cache(cache_dir or default_folder())
    source = _choose(data, limits, cache)
    if mmap_mode:
        key = f"{source.sha256}-{'normalized' if normalize else 'scaled'}"
        arrays = _limited(cache.mapped(key, lambda: _floats(cache.read(source), normalize), mmap_mode), limits)
    else:
        arrays = _floats(_limited(cache.read(source), limits), normalize)
    return source, arrays


def _choose(data: str, limits: Limits, cache: Cache) -> Source:
    if data == "synthetic":
        return _synthetic(limits)
    return _auto(limits, cache) if data == "auto" else open_source(Path(data).expanduser())


def _auto(limits: Limits, cache: Cache) -> Source:
    if path := os.environ.get("CIFAR10_DATA"):
        return open_source(Path(path).expanduser())
    if entry := cache.entry():
        return entry
    try:
        return _download(cache)
    except (DownloadError, OSError, UserError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        warning = f"synthetic images instead of CIFAR-10: the download failed ({reason}); give a path with --data"
        return replace(_synthetic(limits), warning=warning)


def _synthetic(limits: Limits) -> Source:
    """As many synthetic images as the limits allow, but no more than CIFAR-10 has."""
    train, test = (min(limit or full, full) for limit, full in zip(limits, FULL_SIZE, strict=True))
    images = make_synthetic(train, test, SYNTHETIC_SEED)
    return Source("synthetic", identity(SYNTHETIC_SEED), lambda: images, kind="synthetic")


def _download(cache: Cache) -> Source:
    with downloaded_archive(cache.folder) as path:
        archive = replace(open_source(path), name="torchvision")
        images = cache.read(archive)
    return replace(archive, read=lambda: images)


def _limited[X: np.generic, Y: np.integer](arrays: Four[X, Y], limits: Limits) -> Four[X, Y]:
    x_train, y_train, x_test, y_test = arrays
    return *_part(x_train, y_train, limits[0]), *_part(x_test, y_test, limits[1])


def _part[X: np.generic, Y: np.integer](
    x: NDArray[X], y: NDArray[Y], limit: int | None
) -> tuple[NDArray[X], NDArray[Y]]:
    if limit is None or limit >= len(y):
        return x, y
    chosen = balanced(y, limit)
    return x[chosen], y[chosen]


def _floats(images: Four[np.uint8, np.uint8], normalize: bool) -> Arrays:
    x_train, y_train, x_test, y_test = images
    train, test = _scaled(x_train, normalize), _scaled(x_test, normalize)
    return train, y_train.astype(np.int64), test, y_test.astype(np.int64)


def _scaled(pixels: NDArray[np.uint8], normalize: bool) -> NDArray[np.float32]:
    """Pixels as float32, scaled in place so that the result is the only large array."""
    x = pixels.astype(np.float32)
    x /= 255
    if normalize:
        x -= np.array(CIFAR10_MEAN, np.float32).reshape(1, 3, 1, 1)
        x /= np.array(CIFAR10_STD, np.float32).reshape(1, 3, 1, 1)
    return x

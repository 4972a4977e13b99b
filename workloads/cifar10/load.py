"""CIFAR-10 as NumPy arrays: one function for every framework, so that all of them train on the same numbers.

`data` is a path (see `cifar10_files`), `synthetic`, or `auto`: $CIFAR10_DATA, else the cache (`cifar10_cache`),
else torchvision's download (`cifar10_download`), else synthetic images with a warning.
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
from epoch_gap.workloads.cifar10.images import Arrays, Four, Source
from epoch_gap.workloads.cifar10.synthetic import identity, make_synthetic

CIFAR10_MEAN: Final = (0.4914, 0.4822, 0.4465)
CIFAR10_STD: Final = (0.2023, 0.1994, 0.2010)
CLASSES: Final = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
FULL_SIZE: Final = (50_000, 10_000)
"""images to train and to test on"""
SYNTHETIC_SEED: Final = 42

type Limits = tuple[int | None, int | None]
"""images to train and to test on, at most; None is all"""


@dataclass(frozen=True)
class Cifar10:
    """The arrays to train and test on, and where they come from."""

    x_train: NDArray[np.float32]
    """(N, 3, 32, 32), normalised"""
    y_train: NDArray[np.int64]
    """(N,), 0..9: see CLASSES"""
    x_test: NDArray[np.float32]
    y_test: NDArray[np.int64]
    kind: str
    """cifar10 | synthetic"""
    source: str
    """for reports: a file name without its directory, "torchvision", "cache", "synthetic"."""
    sha256: str
    """of that file (`open_source` says what for a directory); "torchvision": the archive's; "cache": of the source
    that filled it; "synthetic": of the uint8 arrays' bytes"""
    warning: str | None
    """why `auto` had to take synthetic images, in one line"""


def load_cifar10(
    data: str = "auto",
    *,
    train_limit: int | None = None,
    test_limit: int | None = None,
    mmap: bool = False,
    cache_dir: Path | None = None,
) -> Cifar10:
    """Load the normalised data set, or the first, class-balanced part of it: at most as many images as the limits.

    With `mmap` the arrays are copy-on-write `np.memmap`s of files in the cache, unless a limit asks for a part.

    Raises:
        UserError: `data` or `$CIFAR10_DATA` cannot be used, or a limit is below 1.
    """
    return _load(data, "c" if mmap else None, True, (train_limit, test_limit), cache_dir)


def get_cifar10_numpy(
    data: str = "auto",
    *,
    normalize: bool = True,
    mmap_mode: str | None = None,
    train_limit: int | None = None,
    test_limit: int | None = None,
    cache_dir: Path | None = None,
) -> Arrays:
    """Return `x_train, y_train, x_test, y_test`: the article's function, `load_cifar10` without the provenance.

    Pixels are float32 (N, 3, 32, 32), `(x / 255 - mean) / std`, or only `x / 255` without `normalize`; labels
    are int64 (N,). `mmap_mode` is None, "r" or "c" as in `np.load`.

    Raises:
        UserError: as `load_cifar10`; or another `mmap_mode`, which could change the cache.
    """
    loaded = _load(data, mmap_mode, normalize, (train_limit, test_limit), cache_dir)
    return loaded.x_train, loaded.y_train, loaded.x_test, loaded.y_test


def settled(data: str) -> tuple[str, str | None]:
    """What `data` comes down to, for several processes that must load the same: (data, warning).

    `auto` is tried, downloading what it must, and is `synthetic` with a warning where that fails.

    Raises:
        UserError: as `load_cifar10`.
    """
    if data == "synthetic":
        return data, None
    source = _choose(data, (1, 1), Cache(default_folder()))
    if data != "auto":
        source.read()  # a bad file is said once, before the first process
    return ("synthetic", source.warning) if source.kind == "synthetic" else (data, None)


def balanced(labels: NDArray[np.integer], limit: int) -> NDArray[np.intp]:
    """Return the ascending indices of at most `limit` images: the first of each class, equally many within one.

    Where a class has too few, the others fill up.
    """
    turn = np.empty(len(labels), np.intp)  # an image's number within its class: low numbers go first
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        turn[members] = np.arange(len(members))
    return np.sort(np.argsort(turn, kind="stable")[:limit])


def _load(data: str, mmap_mode: str | None, normalize: bool, limits: Limits, cache_dir: Path | None) -> Cifar10:
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
    return Cifar10(*arrays, source.kind, source.name, source.sha256, source.warning)


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
        warning = f"synthetic images instead of CIFAR-10: the download failed ({reason}); give a path as data"
        return replace(_synthetic(limits), warning=warning)


def _synthetic(limits: Limits) -> Source:
    """As many synthetic images as the limits ask for, at most as many as CIFAR-10 has."""
    train, test = (min(limit or most, most) for limit, most in zip(limits, FULL_SIZE, strict=True))
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
    """Convert to float32 once and compute in place: the result is the only large array."""
    x = pixels.astype(np.float32)
    x /= 255
    if normalize:
        x -= np.array(CIFAR10_MEAN, np.float32).reshape(1, 3, 1, 1)
        x /= np.array(CIFAR10_STD, np.float32).reshape(1, 3, 1, 1)
    return x

"""The data cache: official data as uint8, and finished arrays for memory mapping.

The folder is `$EPOCH_GAP_CACHE`, else `$XDG_CACHE_HOME/epoch-gap`, else `~/.cache/epoch-gap`. It holds the data in
`cifar10.npz`, described by `meta.json`, and the finished arrays as `.npy` files, one directory per data set.
"""

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.atomic import open_atomically, write_atomically
from epoch_gap.workloads.cifar10.files import open_source
from epoch_gap.workloads.cifar10.images import Arrays, Images, Source, digest


def default_folder() -> Path:
    """The default folder of the cache; it need not exist."""
    if folder := os.environ.get("EPOCH_GAP_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "epoch-gap"


@dataclass(frozen=True)
class Cache:
    """The files in one folder. Each is written atomically; a damaged file is written again."""

    folder: Path

    def entry(self) -> Source | None:
        """The official data in the cache; None if there are none, or if their checksum is wrong."""
        npz = self.folder / "cifar10.npz"
        try:
            meta = json.loads((self.folder / "meta.json").read_bytes())
            if digest(npz, "sha256") != meta["npz_sha256"]:
                return None
            return replace(open_source(npz), name="cache", sha256=str(meta["sha256"]))
        except (OSError, ValueError, KeyError, TypeError, UserError):
            return None

    def read(self, source: Source) -> Images:
        """Read `source`, through the cache if its data are official. Raises UserError."""
        if not source.official:
            return source.read()
        if (entry := self.entry()) and entry.sha256 == source.sha256:
            return entry.read()
        images = source.read()
        with contextlib.suppress(OSError):  # without a cache the next run reads the source again
            self._store(source, images)
        return images

    def _store(self, source: Source, images: Images) -> None:
        npz = self.folder / "cifar10.npz"
        self.folder.mkdir(parents=True, exist_ok=True)
        with open_atomically(npz) as stream:
            np.savez(stream, **images._asdict())
        meta = {
            "source": source.name,
            "sha256": source.sha256,
            "npz_sha256": digest(npz, "sha256"),
            "shapes": {name: array.shape for name, array in images._asdict().items()},
            "dtype": "uint8",
            "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_atomically(self.folder / "meta.json", json.dumps(meta, indent=1))

    def mapped(self, key: str, make: Callable[[], Arrays], mode: str) -> Arrays:
        """The arrays stored under `key`, as memory maps in `mode` "r" or "c"; the first call makes them.

        Raises:
            UserError: the arrays cannot be written.
        """
        folder = self.folder / key
        with contextlib.suppress(OSError, ValueError):  # missing or damaged: made below
            return _open_mapped(folder, mode)
        arrays: tuple[NDArray[Any], ...] = make()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, array in zip(Images._fields, arrays, strict=True):
                with open_atomically(folder / f"{name}.npy") as stream:
                    np.save(stream, array)
            return _open_mapped(folder, mode)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"{self.folder}: cannot store arrays for memory mapping ({reason})") from error


def _open_mapped(folder: Path, mode: str) -> Arrays:
    x_train, y_train, x_test, y_test = (open_memmap(folder / f"{name}.npy", mode=mode) for name in Images._fields)
    if len(x_train) != len(y_train) or len(x_test) != len(y_test):
        raise ValueError("the arrays belong to different data sets")
    return x_train, y_train, x_test, y_test

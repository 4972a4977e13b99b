"""What is kept between runs: official data as uint8, and finished arrays for memory mapping.

The folder is `$EPOCH_GAP_CACHE`, else `$XDG_CACHE_HOME/epoch-gap`, else `~/.cache/epoch-gap`. The data are in
`cifar10.npz`, described by `meta.json`; the finished arrays are `.npy` files, one directory for each set.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads.cifar10.files import open_source
from epoch_gap.workloads.cifar10.images import Arrays, Images, Source, digest


def default_folder() -> Path:
    """Return where the cache is when nobody says otherwise; it need not exist."""
    if own := os.environ.get("EPOCH_GAP_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "epoch-gap"


@dataclass(frozen=True)
class Cache:
    """The files in one folder. Each is written completely or not at all; damaged ones are made again."""

    folder: Path

    def entry(self) -> Source | None:
        """Return the official data kept here, or None: absent, or not byte for byte what was written."""
        npz = self.folder / "cifar10.npz"
        try:
            meta = json.loads((self.folder / "meta.json").read_bytes())
            if digest(npz, "sha256") != meta["npz_sha256"]:
                return None
            return replace(open_source(npz), name="cache", sha256=str(meta["sha256"]))
        except (OSError, ValueError, KeyError, TypeError, UserError):
            return None

    def read(self, source: Source) -> Images:
        """Read `source`: official data from here when they are, or else keep them here. Raises UserError."""
        if not source.official:
            return source.read()
        if (entry := self.entry()) and entry.sha256 == source.sha256:
            return entry.read()
        images = source.read()
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, not the run
            self._keep(source, images)
        return images

    def _keep(self, source: Source, images: Images) -> None:
        npz = self.folder / "cifar10.npz"
        _write(npz, lambda file: np.savez(file, **images._asdict()))
        meta = {
            "source": source.name,
            "sha256": source.sha256,
            "npz_sha256": digest(npz, "sha256"),
            "shapes": {name: array.shape for name, array in images._asdict().items()},
            "dtype": "uint8",
            "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        _write(self.folder / "meta.json", lambda file: file.write(json.dumps(meta, indent=1).encode()))

    def mapped(self, key: str, make: Callable[[], Arrays], mode: str) -> Arrays:
        """Return the arrays kept under `key` as memory maps in `mode`, "r" or "c"; the first call makes them.

        Raises:
            UserError: they cannot be written here.
        """
        folder = self.folder / key
        with contextlib.suppress(OSError, ValueError):  # absent or damaged: made below
            return _open_mapped(folder, mode)
        arrays: tuple[NDArray[Any], ...] = make()
        try:
            for name, array in zip(Images._fields, arrays, strict=True):
                _write(folder / f"{name}.npy", partial(np.save, arr=array))
            return _open_mapped(folder, mode)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot keep arrays for mmap ({error.strerror or error})") from error


def _open_mapped(folder: Path, mode: str) -> Arrays:
    x_train, y_train, x_test, y_test = (open_memmap(folder / f"{name}.npy", mode=mode) for name in Images._fields)
    if len(x_train) != len(y_train) or len(x_test) != len(y_test):
        raise ValueError("the arrays are not of one set")
    return x_train, y_train, x_test, y_test


def _write(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete_on_close=False) as file:
        write(file)
        file.close()
        Path(file.name).replace(path)

"""Reads CIFAR-10 files: recognises, verifies and then parses them. Nothing is extracted or written.

Three kinds are supported: an `.npz` of uint8 arrays (in this module), and the two official distributions, python
pickles and raw binary, each as its `.tar.gz` or as the unpacked directory (in `official.py`).
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads.cifar10.images import SHAPE, Images, Source, checked, digest
from epoch_gap.workloads.cifar10.official import open_archive, open_folder

EXPECTED: Final = (
    "an .npz of uint8 arrays, cifar-10-python.tar.gz, cifar-10-binary.tar.gz, "
    "or the directory cifar-10-batches-py or cifar-10-batches-bin"
)
MAX_IMAGES: Final = 100_000
"""the largest number of images in a split: twice the official one, which limits a hostile header to 300 MB"""
_WANTED: Final = {"x": "uint8 (N, 3, 32, 32)", "y": "integers (N,)"}


def open_source(path: Path) -> Source:
    """Recognise and verify the file or directory at `path`.

    `sha256` is that of the file; for a directory it is the SHA-256 of the joined hexadecimal SHA-256s of the batch
    files, training batches first. Archives and the batches of the python directory must have the published MD5. No
    MD5 is published for the batches of the binary directory: their size, labels and class balance are checked
    instead, and `official` is false.

    Raises:
        UserError: `path` is missing, of another kind, damaged or not the official data; one line that names it.
    """
    with _user_errors(path):
        source = _open(path)
    return replace(source, read=_user_errors(path)(source.read))


def _open(path: Path) -> Source:
    if path.is_dir():
        if source := open_folder(path):
            return source
        raise UserError(f"no CIFAR-10 batches in this directory; expected {EXPECTED}")
    if not path.is_file():
        raise UserError(f"no such file; expected {EXPECTED}")
    if path.suffix == ".npz":
        return Source(path.name, digest(path, "sha256"), partial(_read_npz, path))
    if path.name.endswith((".tar.gz", ".tgz")):
        return open_archive(path)
    raise UserError(f"unknown kind of file; expected {EXPECTED}")


@contextmanager
def _user_errors(path: Path) -> Iterator[None]:
    """Turn any exception that a bad file causes into a UserError of one line that names the file."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    # A damaged file can make zipfile, tarfile, zlib, pickle and NumPy raise nearly anything, undocumented:
    # BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError, IndexError, ...
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read, expected {EXPECTED} ({reason})") from error


def _read_npz(path: Path) -> Images:
    with zipfile.ZipFile(path) as archive:
        members = set(archive.namelist())
        if missing := [key for key in Images._fields if f"{key}.npy" not in members]:
            raise UserError(f"no array {', '.join(missing)}; expected {', '.join(Images._fields)}")
        return checked(*(_read_array(archive, key) for key in Images._fields))


def _read_array(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    """One array of the archive, after a check of its header, which could declare objects or terabytes."""
    with archive.open(f"{key}.npy") as member:
        headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        shape, _, dtype = headers[npy.read_magic(member)](member)
        if not _is_expected(key, shape, dtype):
            wanted = f"{_WANTED[key[0]]}, N at most {MAX_IMAGES}"
            raise UserError(f"{key} is {dtype} {shape}; expected {wanted}")
        member.seek(0)
        array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
        return array


def _is_expected(key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    if not shape or shape[0] > MAX_IMAGES:
        return False
    return (dtype == np.uint8 and shape[1:] == SHAPE) if key[0] == "x" else (dtype.kind in "iu" and len(shape) == 1)

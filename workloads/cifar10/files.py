"""CIFAR-10 files: recognised, verified, and only then parsed. Nothing is extracted or written.

Three kinds are read: an `.npz` of uint8 arrays, here, and the two official distributions (python pickles and raw
binary), each as its `.tar.gz` or as the directory that this unpacks to, in `cifar10_official`.
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
"""The most images that a split may declare: twice the real ones, so that a hostile header costs 300 MB at most."""
_WANTED: Final = {"x": "uint8 (N, 3, 32, 32)", "y": "integers (N,)"}


def open_source(path: Path) -> Source:
    """Recognise and verify the file or directory at `path`.

    `sha256` is the file's; of a directory it is the SHA-256 over the batch files' SHA-256s (hexadecimal, joined,
    training batches first). Archives must have the published MD5, and so must the batches of the python
    directory. None is published for the batches of the binary directory: their exact size, labels and class
    balance are checked instead, and `official` stays false.

    Raises:
        UserError: in one line that names `path`: it is absent, of another kind, damaged, or not the official data.
    """
    with _blaming(path):
        source = _open(path)
    return replace(source, read=_blaming(path)(source.read))


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
def _blaming(path: Path) -> Iterator[None]:
    """Turn whatever a bad file raises into one line that names it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    # All of them: a damaged file decides what zipfile, tarfile, zlib, pickle and NumPy raise, and none of them
    # lists it (BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError, IndexError, ...).
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
    """One array of the archive. Its header is judged first: a hostile one could claim objects or terabytes."""
    with archive.open(f"{key}.npy") as member:
        headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        shape, _, dtype = headers[npy.read_magic(member)](member)
        if not _fits(key, shape, dtype):
            wanted = f"{_WANTED[key[0]]}, N at most {MAX_IMAGES}"
            raise UserError(f"{key} is {dtype} {shape}; expected {wanted}")
        member.seek(0)
        array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
        return array


def _fits(key: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    if not shape or shape[0] > MAX_IMAGES:
        return False
    return (dtype == np.uint8 and shape[1:] == SHAPE) if key[0] == "x" else (dtype.kind in "iu" and len(shape) == 1)

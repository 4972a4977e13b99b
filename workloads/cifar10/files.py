"""Reads CIFAR-10 files: recognises, verifies and then parses them. Nothing is extracted or written.

These kinds are supported: an `.npz` of arrays (in this module, with the conversions of `forms.py`), the two official
distributions, python pickles and raw binary, each as its `.tar.gz` or as the unpacked directory (in `official.py`),
and Hugging Face's parquet files (in `parquet.py`).
"""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError, one_line
from epoch_gap.workloads.cifar10.forms import Form, form_of
from epoch_gap.workloads.cifar10.images import Images, Source, checked, digest
from epoch_gap.workloads.cifar10.official import open_archive, open_folder
from epoch_gap.workloads.cifar10.parquet import open_parquet

EXPECTED: Final = (
    "an .npz of arrays, cifar-10-python.tar.gz, cifar-10-binary.tar.gz, the directory cifar-10-batches-py or "
    "cifar-10-batches-bin, or a directory with train*.parquet and test*.parquet"
)
GZIP: Final = b"\x1f\x8b"


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
        if source := open_folder(path) or open_parquet(path):
            return source
        raise UserError(f"no CIFAR-10 batches in this directory; expected {EXPECTED}")
    if not path.is_file():
        raise UserError(f"no such file; expected {EXPECTED}")
    if path.suffix == ".npz":
        return _open_npz(path)
    if path.name.endswith((".tar.gz", ".tgz")) or _begins_with(path, GZIP):
        return open_archive(path)
    raise UserError(f"unknown kind of file; expected {EXPECTED}")


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


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
        raise UserError(f"{path}: cannot be read, expected {EXPECTED} ({one_line(error)})") from error


def _open_npz(path: Path) -> Source:
    """The arrays of an `.npz`, converted where their form leaves no doubt; the name says what was converted."""
    with zipfile.ZipFile(path) as archive:
        members = set(archive.namelist())
        if missing := [key for key in Images._fields if f"{key}.npy" not in members]:
            found = ", ".join(sorted(name.removesuffix(".npy") for name in members)) or "nothing"
            raise UserError(f"no array {', '.join(missing)}, found {found}; expected {', '.join(Images._fields)}")
        forms = {key: form_of(key, *_header(archive, key)) for key in Images._fields}
    converted = list(dict.fromkeys(form.name for form in forms.values() if form.name))
    name = f"{path.name} ({', '.join(converted)})" if converted else path.name
    return Source(name, digest(path, "sha256"), partial(_read_npz, path, forms))


def _read_npz(path: Path, forms: Mapping[str, Form]) -> Images:
    with zipfile.ZipFile(path) as archive:
        return checked(*(forms[key].convert(key, _read_array(archive, key)) for key in Images._fields))


def _header(archive: zipfile.ZipFile, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with archive.open(f"{key}.npy") as member:
        headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        shape, _, dtype = headers[npy.read_magic(member)](member)
    return shape, dtype


def _read_array(archive: zipfile.ZipFile, key: str) -> NDArray[Any]:
    """One array of the archive, whose header `form_of` has accepted: it could declare objects or terabytes."""
    with archive.open(f"{key}.npy") as member:
        array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
        return array

"""The official CIFAR-10 distributions: their checksums, and the parsers of their six batches.

A batch is parsed only after its checksum or exact size was verified, and its pickle may contain only arrays.
"""

import codecs
import io
import math
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads.cifar10.images import SHAPE, Bytes, Images, Source, checked, digest, digest_together

MAX_BATCH_BYTES: Final = 64_000_000
"""the largest batch file that is read: twice the official size"""

OTHERS: Final = {
    "eb9058c3a382ffc7106e4002c42a8d85": "CIFAR-100 (python)",
    "03b5dce01913d631647c71ecec9e9cb8": "CIFAR-100 (binary)",
}
"""published MD5s of archives that are taken for it"""

type Batch = tuple[Bytes, NDArray[Any]]
"""pixels (N, 3072), labels (N,)"""


@dataclass(frozen=True)
class Distribution:
    """One official form of the data: six batches, the last one for testing."""

    archive_md5: str
    folder: str
    """name of the directory, also inside the archive"""
    batches: dict[str, str | None]
    """file name -> published MD5"""
    parse: Callable[[bytes], Batch]
    batch_bytes: int | None = None
    """the exact size of a batch, if no MD5 is published"""


def open_archive(path: Path) -> Source:
    """Recognise a `.tar.gz` by its published MD5. Raises UserError."""
    md5 = digest(path, "md5")
    for distribution in DISTRIBUTIONS:
        if md5 == distribution.archive_md5:
            read = partial(_read_archive, distribution, path)
            return Source(path.name, digest(path, "sha256"), read, official=True)
    if name := OTHERS.get(md5):
        raise UserError(f"this is {name}; expected CIFAR-10, which has other classes")
    known = " or ".join(distribution.archive_md5 for distribution in DISTRIBUTIONS)
    raise UserError(f"MD5 is {md5}, the official archives have {known}; download it again")


def open_folder(path: Path) -> Source | None:
    """Verify the batches in `path` or in the distribution's folder below it; None if there are none.

    Raises:
        UserError: batches are missing, or differ from the published ones.
    """
    for distribution in DISTRIBUTIONS:
        for folder in (path, path / distribution.folder):
            if any((folder / name).is_file() for name in distribution.batches):
                for name in distribution.batches:
                    _verify_batch(distribution, folder / name)
                sha256 = digest_together(folder / name for name in distribution.batches)
                read = partial(_read_folder, distribution, folder)
                return Source(folder.resolve().name, sha256, read, official=all(distribution.batches.values()))
    return None


def _verify_batch(distribution: Distribution, file: Path) -> None:
    if not file.is_file():
        raise UserError(f"{file.name} is missing; expected {', '.join(distribution.batches)}")
    size, expected = file.stat().st_size, distribution.batch_bytes
    if size > MAX_BATCH_BYTES or size != (expected or size):
        raise UserError(f"{file.name} has {size} bytes; expected {expected or 'about 31 million'}")
    published = distribution.batches[file.name]
    if published and (md5 := digest(file, "md5")) != published:
        raise UserError(f"MD5 of {file.name} is {md5}, the official one is {published}; download it again")


def _read_archive(distribution: Distribution, path: Path) -> Images:
    """Read the batches from the archive in one pass; other members are ignored."""
    names = {f"{distribution.folder}/{name}": name for name in distribution.batches}
    parsed: dict[str, Batch] = {}
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if name := names.get(member.name):
                file = archive.extractfile(member) if member.isreg() else None
                if file is None or member.size > MAX_BATCH_BYTES:
                    raise UserError(f"{name} is a link or too large; expected a file of about 31 million bytes")
                parsed[name] = distribution.parse(file.read())
    return _joined(distribution, parsed)


def _read_folder(distribution: Distribution, folder: Path) -> Images:
    parse = distribution.parse
    return _joined(distribution, {name: parse((folder / name).read_bytes()) for name in distribution.batches})


def _joined(distribution: Distribution, parsed: dict[str, Batch]) -> Images:
    if missing := [name for name in distribution.batches if name not in parsed]:
        raise UserError(f"{', '.join(missing)} missing; expected {', '.join(distribution.batches)}")
    *train, (x_test, y_test) = (parsed[name] for name in distribution.batches)
    x_train, y_train = (np.concatenate(parts) for parts in zip(*train, strict=True))
    images = checked(x_train.reshape(-1, *SHAPE), y_train, x_test.reshape(-1, *SHAPE), y_test)
    for labels in (images.y_train, images.y_test):
        if len(set(np.bincount(labels, minlength=10).tolist())) != 1:
            raise UserError("the classes differ in size; the official data have equally many images of each class")
    return images


def _parse_binary(batch: bytes) -> Batch:
    """Records of 3073 bytes: the label, then the pixels."""
    records = np.frombuffer(batch, np.uint8).reshape(-1, 1 + math.prod(SHAPE))
    return records[:, 1:], records[:, 0]


def _parse_pickle(batch: bytes) -> Batch:
    content = _ArrayUnpickler(io.BytesIO(batch), encoding="bytes").load()
    pixels, labels = content[b"data"], np.asarray(content[b"labels"])
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), math.prod(SHAPE)) or labels.dtype.kind != "i":
        raise UserError(f"a batch holds {pixels.dtype} {pixels.shape}; expected uint8 (N, 3072) and N labels")
    return pixels, labels


class _ArrayUnpickler(pickle.Unpickler):
    """Resolves only the names that a pickled array needs; any other name could run a program."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PICKLE_GLOBALS:
            raise UserError(f"the pickle refers to {module}.{name}; expected arrays only")
        return _PICKLE_GLOBALS[module, name]


_RECONSTRUCT = np.empty(0, np.uint8).__reduce__()[0]
_PICKLE_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,  # the name in the official files
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,  # the name since NumPy 2
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,  # bytes in protocol 2
}

DISTRIBUTIONS: tuple[Distribution, ...] = (
    Distribution(
        archive_md5="c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        batches={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
        },
        parse=_parse_pickle,
    ),
    Distribution(
        archive_md5="c32a1d4ab5d03f1284b67883e8d87530",
        folder="cifar-10-batches-bin",
        batches=dict.fromkeys([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]),
        parse=_parse_binary,
        batch_bytes=30_730_000,
    ),
)

"""A small data set in each of the official forms, and what reading it must give or refuse."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads.cifar10.files import open_source
from epoch_gap.workloads.cifar10.images import Images
from epoch_gap.workloads.cifar10.official import DISTRIBUTIONS
from epoch_gap.workloads.cifar10.synthetic import make_synthetic

PYTHON, BINARY = DISTRIBUTIONS
IMAGES = make_synthetic(50, 10, seed=3)


def assert_same(images: Images) -> None:
    for found, true in zip(images, IMAGES, strict=True):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, true)


def refusal(path: Path) -> str:
    """The one line that the user sees; nothing may have been written beside the file."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(UserError) as caught:
        open_source(path).read()
    assert sorted(path.parent.rglob("*")) == before
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


def image_batches(images: Images) -> list[tuple[np.ndarray, np.ndarray]]:
    """Five training batches of ten images and one test batch: pixels (10, 3072), labels (10,)."""
    x, y = np.concatenate([images.x_train, images.x_test]), np.concatenate([images.y_train, images.y_test])
    return [(x[i : i + 10].reshape(10, -1), y[i : i + 10]) for i in range(0, 60, 10)]


def pickled_batches(images: Images) -> dict[str, bytes]:
    contents = [{b"data": x, b"labels": y.tolist()} for x, y in image_batches(images)]
    return dict(zip(PYTHON.batches, (pickle.dumps(c, protocol=2) for c in contents), strict=True))


def binary_batches(images: Images) -> dict[str, bytes]:
    records = [np.hstack([y[:, None], x]).tobytes() for x, y in image_batches(images)]
    return dict(zip(BINARY.batches, records, strict=True))


def pack(folder: str, files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in reversed(files.items()):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def unpack(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

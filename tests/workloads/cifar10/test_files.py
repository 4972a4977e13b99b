"""A bad `.npz` file is refused in one line; the official files have tests of their own."""

import hashlib
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.workloads.cifar10.files import open_source
from tests.helpers.cifar10_samples import IMAGES, assert_same, refusal


def test_an_npz_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, **(IMAGES._asdict() | {"y_train": IMAGES.y_train.astype(np.int64)}))
    source = open_source(path)
    assert (source.name, source.official) == ("mine.npz", False)
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert_same(source.read())


def save(path: Path, **changes: Any) -> Path:
    arrays = IMAGES._asdict() | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x_test": None}, "no array x_test"),
        ({"x_train": IMAGES.x_train.astype(np.float32)}, "x_train is float32"),
        ({"x_train": IMAGES.x_train.transpose(0, 2, 3, 1)}, "(50, 32, 32, 3)"),
        ({"x_train": IMAGES.x_train[0]}, "(3, 32, 32)"),
        ({"x_train": np.uint8(1)}, "x_train is uint8 ()"),
        ({"y_test": IMAGES.y_test.astype(float)}, "y_test is float64"),
        ({"y_test": IMAGES.y_test[:, None]}, "(10, 1)"),
        ({"y_test": np.array([os.getcwd] * 10, dtype=object)}, "y_test is object"),
        ({"y_test": IMAGES.y_test[:9]}, "10 images and 9 labels in test"),
        ({"x_test": IMAGES.x_test[:0], "y_test": IMAGES.y_test[:0]}, "at least one"),
        ({"y_train": IMAGES.y_train + 1}, "expected 0 to 9"),
        ({"y_train": IMAGES.y_train.astype(np.int8) - 1}, "expected 0 to 9"),
    ],
)
def test_an_npz_with_wrong_arrays_is_refused(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    assert reason in refusal(save(tmp_path / "bad.npz", **changes))


def test_a_huge_array_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = io.BytesIO()
    declared = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 3, 32, 32)}
    np.lib.format.write_array_header_1_0(header, declared)
    path = save(tmp_path / "bomb.npz", x_train=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x_train.npy", header.getvalue())
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("its data were read"))
    assert "N at most 100000" in refusal(path)


def test_a_damaged_npz_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz")
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[5000] ^= 1
    for damaged in (content[: len(content) // 2], bytes(flipped), b"no zip", b""):
        path.write_bytes(damaged)
        assert "cannot be read, expected an .npz" in refusal(path)


def test_a_missing_file_an_unknown_kind_and_an_empty_directory_are_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.npz")
    (tmp_path / "notes.txt").write_text("hello")
    assert "unknown kind of file" in refusal(tmp_path / "notes.txt")
    (tmp_path / "empty").mkdir()
    assert "no CIFAR-10 batches" in refusal(tmp_path / "empty")

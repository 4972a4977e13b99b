"""A bad `.npz` file is refused in one line; the official files have tests of their own."""

import gzip
import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from epoch_gap.workloads.cifar10 import official
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
    ("form", "name"),
    [
        (lambda x: x.transpose(0, 2, 3, 1), "mine.npz (channels last)"),
        (lambda x: x.astype(np.float32), "mine.npz (float32 pixels)"),
        (lambda x: (x / 255).astype(np.float32), "mine.npz (float32 pixels)"),
        (lambda x: (x / 255).transpose(0, 2, 3, 1), "mine.npz (float64 pixels, channels last)"),
    ],
)
def test_arrays_as_people_have_them_are_converted_and_the_name_says_so(
    form: Callable[[np.ndarray], np.ndarray], name: str, tmp_path: Path
) -> None:
    labels = {"y_train": IMAGES.y_train[:, None], "y_test": IMAGES.y_test.astype(np.int64)[:, None]}
    source = open_source(
        save(tmp_path / "mine.npz", x_train=form(IMAGES.x_train), x_test=form(IMAGES.x_test), **labels)
    )
    assert source.name == name
    assert_same(source.read())


def save_parquet(folder: Path, column: str = "img", **changes: Any) -> Path:
    """The splits as Hugging Face stores them: PNGs in a struct, and the label."""
    for split, x, y in (("train", IMAGES.x_train, IMAGES.y_train), ("test", IMAGES.x_test, IMAGES.y_test)):
        pngs = []
        for image in x:
            stream = io.BytesIO()
            Image.fromarray(image.transpose(1, 2, 0)).save(stream, "PNG")
            pngs.append({"bytes": stream.getvalue(), "path": None})
        (folder / "plain_text").mkdir(parents=True, exist_ok=True)
        table = pa.table({column: pngs, "label": y.astype(np.int64)} | changes)
        pyarrow.parquet.write_table(table, folder / "plain_text" / f"{split}-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("column", ["img", "image"])
def test_hugging_faces_parquet_files_are_read(tmp_path: Path, column: str) -> None:
    source = open_source(save_parquet(tmp_path / "cifar10", column))
    assert source.name == "cifar10 (parquet)"
    assert_same(source.read())


def test_other_parquet_files_are_refused_in_one_line(tmp_path: Path) -> None:
    assert "has the columns picture, label" in refusal(save_parquet(tmp_path / "a", "picture"))
    folder = save_parquet(tmp_path / "b")
    (folder / "plain_text" / "test-00000-of-00001.parquet").unlink()
    assert "no test*.parquet" in refusal(folder)
    damaged = save_parquet(tmp_path / "c")
    (damaged / "plain_text" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 and nothing else")
    assert "cannot be read" in refusal(damaged)


def test_cifar_100_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cifar.tar.gz"
    path.write_bytes(gzip.compress(b"CIFAR-100"))
    monkeypatch.setattr(official, "OTHERS", {hashlib.md5(path.read_bytes()).hexdigest(): "CIFAR-100 (python)"})
    assert "this is CIFAR-100 (python); expected CIFAR-10" in refusal(path)


def test_an_archive_is_recognised_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "download"
    path.write_bytes(gzip.compress(b"something"))
    assert "the official archives have" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x_test": None}, "no array x_test"),
        ({"x_train": IMAGES.x_train.astype(np.int32)}, "x_train is int32"),
        ({"x_train": IMAGES.x_train / 127.5 - 1}, "as of normalised images; store the bytes"),
        ({"x_train": IMAGES.x_train * 0.9}, "as of resized images; store the original bytes"),
        ({"x_train": IMAGES.x_train.transpose(0, 2, 1, 3)}, "(50, 32, 3, 32)"),
        ({"x_train": IMAGES.x_train[0]}, "(3, 32, 32)"),
        ({"x_train": np.uint8(1)}, "x_train is uint8 ()"),
        ({"y_test": IMAGES.y_test.astype(float)}, "y_test is float64"),
        ({"y_test": np.eye(10)[IMAGES.y_test]}, "y_test is float64 (10, 10)"),
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

"""Loading, and the choice of a source, in a temporary home without the real cache and without network."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads.cifar10 import download as cifar10_download
from epoch_gap.workloads.cifar10 import load as cifar10
from epoch_gap.workloads.cifar10 import official as cifar10_official
from epoch_gap.workloads.cifar10.download import DownloadError
from epoch_gap.workloads.cifar10.images import Images
from epoch_gap.workloads.cifar10.load import CLASSES, balanced, get_cifar10_numpy, load_cifar10
from tests.helpers.cifar10_samples import IMAGES, PYTHON, listing, pack, pickled_batches


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and a network that is down by default."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("CIFAR10_DATA", "EPOCH_GAP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cifar10_download, "fetch", offline)
    return folder


def offline(_: Path) -> Path:
    raise DownloadError("no network")


def forbidden(_: Path) -> Path:
    pytest.fail("the network was asked")


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    path = tmp_path / "mine.npz"
    np.savez(path, **IMAGES._asdict())
    return path


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small `cifar-10-python.tar.gz` of IMAGES whose checksum counts as the published one."""
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(pack(PYTHON.folder, pickled_batches(IMAGES)))
    known = replace(PYTHON, archive_md5=hashlib.md5(path.read_bytes()).hexdigest())
    monkeypatch.setattr(cifar10_official, "DISTRIBUTIONS", (known,))
    return path


def expected(pixels: np.ndarray) -> np.ndarray:
    mean = np.array(cifar10.CIFAR10_MEAN, np.float32).reshape(1, 3, 1, 1)
    std = np.array(cifar10.CIFAR10_STD, np.float32).reshape(1, 3, 1, 1)
    return (pixels.astype(np.float32) / 255.0 - mean) / std


def assert_images(loaded: Any) -> None:
    np.testing.assert_array_equal(loaded.x_train, expected(IMAGES.x_train))
    np.testing.assert_array_equal(loaded.x_test, expected(IMAGES.x_test))
    np.testing.assert_array_equal(loaded.y_train, IMAGES.y_train)
    np.testing.assert_array_equal(loaded.y_test, IMAGES.y_test)


def test_normalisation_agrees_with_a_calculation_by_hand(tmp_path: Path) -> None:
    """Black, white and 128: (0 - 0.4914) / 0.2023, (1 - 0.4822) / 0.1994, (128/255 - 0.4465) / 0.2010."""
    x = np.zeros((1, 3, 32, 32), np.uint8)
    x[:, 1], x[:, 2] = 255, 128
    y = np.array([7], np.uint8)
    np.savez(tmp_path / "one.npz", **Images(x, y, x, y)._asdict())
    loaded = load_cifar10(str(tmp_path / "one.npz"))
    np.testing.assert_allclose(loaded.x_train[0, :, 0, 0], [-2.429066, 2.596790, 0.275924], rtol=1e-5)
    assert loaded.x_train.dtype == np.float32
    assert loaded.y_train.dtype == np.int64
    assert CLASSES[loaded.y_train[0]] == "horse"


def test_both_functions_load_the_same_with_and_without_normalisation(npz: Path) -> None:
    x_train, y_train, x_test, _ = get_cifar10_numpy(str(npz), normalize=False)
    np.testing.assert_array_equal(x_train, IMAGES.x_train.astype(np.float32) / 255)
    assert x_test.dtype == np.float32
    assert y_train.dtype == np.int64
    loaded = load_cifar10(str(npz))
    for one, other in zip(
        get_cifar10_numpy(str(npz)), (loaded.x_train, loaded.y_train, loaded.x_test, loaded.y_test), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_file_is_listed_without_its_directory_and_not_copied(npz: Path, home: Path) -> None:
    loaded = load_cifar10(str(npz))
    assert_images(loaded)
    assert (loaded.kind, loaded.source, loaded.warning) == ("cifar10", "mine.npz", None)
    assert loaded.sha256 == hashlib.sha256(npz.read_bytes()).hexdigest()
    assert listing(home) == []


@given(st.lists(st.integers(0, 9), min_size=1, max_size=200), st.data())
def test_a_limit_takes_the_first_of_each_class_evenly(labels: list[int], data: st.DataObject) -> None:
    y = np.array(labels, np.uint8)
    limit = data.draw(st.integers(1, len(y)))
    chosen = balanced(y, limit)
    assert len(chosen) == limit
    assert (np.diff(chosen) > 0).all()
    taken, there = np.bincount(y[chosen], minlength=10), np.bincount(y, minlength=10)
    for label in range(10):
        first = np.flatnonzero(y == label)[: taken[label]]
        np.testing.assert_array_equal(chosen[y[chosen] == label], first)
    unfilled = taken < there  # only a class that has run out may be behind
    assert not unfilled.any() or taken.max() - taken[unfilled].min() <= 1


def test_limits_give_a_balanced_part(npz: Path) -> None:
    loaded = load_cifar10(str(npz), train_limit=20, test_limit=10)
    assert loaded.x_train.shape == (20, 3, 32, 32)
    assert np.bincount(loaded.y_train).tolist() == [2] * 10
    chosen = balanced(IMAGES.y_train, 20)
    np.testing.assert_array_equal(loaded.x_train, expected(IMAGES.x_train[chosen]))
    assert len(loaded.x_test) == 10


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ({"train_limit": 0}, "train_limit is 0; expected at least 1"),
        ({"test_limit": -3}, "test_limit is -3; expected at least 1"),
    ],
)
def test_limits_below_1_are_refused(limits: dict[str, Any], line: str, npz: Path, home: Path) -> None:
    with pytest.raises(UserError, match=f"^{line}$"):
        load_cifar10(str(npz), **limits)
    assert listing(home) == []


@pytest.mark.parametrize("mmap", [False, True])
def test_a_limit_above_the_size_takes_all_images(mmap: bool, npz: Path) -> None:
    assert_images(load_cifar10(str(npz), train_limit=51, test_limit=100_000, mmap=mmap))


def test_there_are_no_more_synthetic_images_than_cifar10_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "FULL_SIZE", (30, 20))
    loaded = load_cifar10("synthetic", train_limit=10, test_limit=21)
    assert (len(loaded.x_train), len(loaded.x_test)) == (10, 20)
    assert len(load_cifar10("synthetic").x_train) == 30


def test_synthetic_images_are_made_on_request(home: Path) -> None:
    first, second = (load_cifar10("synthetic", train_limit=20, test_limit=10) for _ in range(2))
    assert (first.kind, first.source, first.warning) == ("synthetic", "synthetic", None)
    assert first.sha256 == second.sha256
    assert np.bincount(first.y_train).tolist() == [2] * 10
    assert listing(home) == []


def test_auto_prefers_the_environment_then_the_cache_then_the_network(
    archive: Path, npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10_download, "fetch", lambda _: archive)
    downloaded = load_cifar10()
    assert_images(downloaded)
    assert (downloaded.source, downloaded.kind, downloaded.warning) == ("torchvision", "cifar10", None)

    monkeypatch.setattr(cifar10_download, "fetch", forbidden)
    cached = load_cifar10()
    assert_images(cached)
    assert (cached.source, cached.sha256) == ("cache", downloaded.sha256)
    assert cached.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()

    monkeypatch.setenv("CIFAR10_DATA", str(npz))
    assert load_cifar10().source == "mine.npz"


def test_a_bad_environment_is_an_error_not_a_fallback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CIFAR10_DATA", str(tmp_path / "absent.npz"))
    with pytest.raises(UserError, match=r"absent\.npz: no such file"):
        load_cifar10()


def test_auto_falls_back_to_synthetic_images_with_a_warning(home: Path) -> None:
    loaded = load_cifar10(train_limit=10, test_limit=10)
    assert (loaded.kind, loaded.source) == ("synthetic", "synthetic")
    assert loaded.warning is not None
    assert "no network" in loaded.warning
    assert "\n" not in loaded.warning
    assert listing(home) == []


@pytest.mark.parametrize("error", [PermissionError(13, "no\nroom", "/a/path"), UserError("no\nroom")])
def test_the_reason_of_a_failed_download_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Path) -> Path:
        raise error

    monkeypatch.setattr(cifar10_download, "fetch", failing)
    warning = load_cifar10(train_limit=10, test_limit=10).warning
    assert warning is not None
    assert "the download failed (no room);" in warning


def test_a_download_that_is_not_the_archive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.tar.gz").write_text("please log in")
    monkeypatch.setattr(cifar10_download, "fetch", lambda _: tmp_path / "page.tar.gz")
    warning = load_cifar10(train_limit=10, test_limit=10).warning
    assert warning is not None
    assert "the official archives have" in warning


def test_an_official_archive_is_cached(archive: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for _ in range(2):
        loaded = load_cifar10(str(archive), cache_dir=cache)
        assert_images(loaded)
        assert loaded.source == archive.name
    assert listing(cache) == ["cifar10.npz", "meta.json"]
    assert load_cifar10(cache_dir=cache).source == "cache"


def test_memory_maps_are_equal_reused_and_copy_on_write(
    npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    assert_images(load_cifar10(str(npz), mmap=True, cache_dir=cache))
    monkeypatch.setattr(cifar10, "_floats", lambda *_: pytest.fail("it was computed again"))
    loaded = load_cifar10(str(npz), mmap=True, cache_dir=cache)
    assert_images(loaded)
    assert isinstance(loaded.x_train, np.memmap)
    loaded.x_train[:] = 0
    assert_images(load_cifar10(str(npz), mmap=True, cache_dir=cache))
    part = load_cifar10(str(npz), mmap=True, cache_dir=cache, train_limit=10)
    np.testing.assert_array_equal(part.x_train, expected(IMAGES.x_train[balanced(IMAGES.y_train, 10)]))


def test_memory_maps_of_normalised_and_plain_arrays_are_separate(npz: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    normalised, *_ = get_cifar10_numpy(str(npz), mmap_mode="r", cache_dir=cache)
    plain, *_ = get_cifar10_numpy(str(npz), mmap_mode="c", normalize=False, cache_dir=cache)
    np.testing.assert_array_equal(normalised, expected(IMAGES.x_train))
    np.testing.assert_array_equal(plain, IMAGES.x_train.astype(np.float32) / 255)


def test_mmap_modes_that_could_change_the_cache_are_refused(npz: Path) -> None:
    with pytest.raises(UserError, match=r"mmap_mode is 'r\+'"):
        get_cifar10_numpy(str(npz), mmap_mode="r+")

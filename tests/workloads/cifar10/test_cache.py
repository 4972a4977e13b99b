"""The cache parses official data once and maps arrays; damage or a full disk costs only time."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads.cifar10.cache import Cache, default_folder
from epoch_gap.workloads.cifar10.images import Arrays, Images, Source
from tests.helpers.cifar10_samples import IMAGES, listing

ARRAYS: Arrays = (
    IMAGES.x_train.astype(np.float32),
    IMAGES.y_train.astype(np.int64),
    IMAGES.x_test.astype(np.float32),
    IMAGES.y_test.astype(np.int64),
)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def official(read: Callable[[], Images] = lambda: IMAGES) -> Source:
    return Source("official.tar.gz", "5" * 64, read, official=True)


def forbidden() -> Images:
    pytest.fail("it was parsed again")


def assert_equal(found: Images | Arrays, true: Images | Arrays) -> None:
    for one, other in zip(found, true, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_the_default_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EPOCH_GAP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value, folder in [
        ("HOME", tmp_path / "home", tmp_path / "home" / ".cache" / "epoch-gap"),
        ("XDG_CACHE_HOME", tmp_path / "xdg", tmp_path / "xdg" / "epoch-gap"),
        ("EPOCH_GAP_CACHE", tmp_path / "own", tmp_path / "own"),
    ]:
        monkeypatch.setenv(name, str(value))
        assert default_folder() == folder


def test_official_data_are_parsed_once(cache: Cache) -> None:
    assert cache.entry() is None
    assert_equal(cache.read(official()), IMAGES)
    assert listing(cache.folder) == ["cifar10.npz", "meta.json"]
    meta = json.loads((cache.folder / "meta.json").read_text())
    assert (meta["source"], meta["sha256"], meta["dtype"]) == ("official.tar.gz", "5" * 64, "uint8")
    assert meta["shapes"]["x_test"] == [10, 3, 32, 32]

    assert_equal(cache.read(official(forbidden)), IMAGES)
    entry = cache.entry()
    assert entry is not None
    assert (entry.name, entry.sha256) == ("cache", "5" * 64)
    assert_equal(entry.read(), IMAGES)


def test_other_data_are_not_cached(cache: Cache) -> None:
    assert_equal(cache.read(Source("mine.npz", "6" * 64, lambda: IMAGES)), IMAGES)
    assert not cache.folder.exists()


@pytest.mark.parametrize(("name", "content"), [("cifar10.npz", b"half"), ("meta.json", b"{"), ("meta.json", b"[]")])
def test_a_damaged_cache_is_ignored_and_written_again(name: str, content: bytes, cache: Cache) -> None:
    cache.read(official())
    (cache.folder / name).write_bytes(content)
    assert cache.entry() is None
    assert_equal(cache.read(official()), IMAGES)
    assert cache.entry() is not None


def test_data_are_read_without_a_writable_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert_equal(Cache(tmp_path / "file" / "cache").read(official()), IMAGES)


def test_arrays_are_made_once_per_key(cache: Cache) -> None:
    made = []

    def make() -> Arrays:
        made.append(1)
        return ARRAYS

    for key, times in (("a", 1), ("a", 1), ("b", 2)):
        arrays = cache.mapped(key, make, "r")
        assert_equal(arrays, ARRAYS)
        assert all(isinstance(array, np.memmap) and not array.flags.writeable for array in arrays)
        assert len(made) == times


@pytest.mark.parametrize("damage", [lambda whole: whole[:1000], lambda _: b""])
def test_damaged_arrays_are_made_again(damage: Callable[[bytes], bytes], cache: Cache) -> None:
    cache.mapped("a", lambda: ARRAYS, "r")
    kept = cache.folder / "a" / "x_test.npy"
    kept.write_bytes(damage(kept.read_bytes()))
    assert_equal(cache.mapped("a", lambda: ARRAYS, "r"), ARRAYS)


def test_arrays_of_different_data_sets_are_made_again(cache: Cache) -> None:
    cache.mapped("a", lambda: ARRAYS, "r")
    np.save(cache.folder / "a" / "y_test.npy", ARRAYS[3][:5])
    assert_equal(cache.mapped("a", lambda: ARRAYS, "r"), ARRAYS)


def test_arrays_that_cannot_be_stored_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot store arrays for memory mapping \(Not a directory\)"):
        Cache(tmp_path / "file" / "cache").mapped("a", lambda: ARRAYS, "r")

"""Both distributions give the same arrays, as archive and as directory; only published files are parsed."""

import hashlib
import io
import os
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.workloads.cifar10 import official as cifar10_official
from epoch_gap.workloads.cifar10.files import open_source
from epoch_gap.workloads.cifar10.images import Images
from epoch_gap.workloads.cifar10.official import DISTRIBUTIONS, Distribution
from tests.helpers.cifar10_samples import (
    BINARY,
    IMAGES,
    PYTHON,
    assert_same,
    binary_batches,
    pack,
    pickled_batches,
    refusal,
    unpack,
)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the checksums of these files (and archive) the published ones."""

    def publish(distribution: Distribution, files: dict[str, bytes], archive: bytes = b"") -> None:
        sums = {name: md5(content) if distribution is PYTHON else None for name, content in files.items()}
        size = None if distribution is PYTHON else len(next(iter(files.values())))
        known = replace(distribution, archive_md5=md5(archive), batches=sums, batch_bytes=size)
        others = [other for other in DISTRIBUTIONS if other is not distribution]
        monkeypatch.setattr(cifar10_official, "DISTRIBUTIONS", (known, *others))

    return publish


@pytest.mark.parametrize(("distribution", "write"), [(PYTHON, pickled_batches), (BINARY, binary_batches)])
def test_an_official_archive_is_read(
    distribution: Distribution, write: Callable[[Images], dict[str, bytes]], publish: Any, tmp_path: Path
) -> None:
    files = write(IMAGES)
    archive = pack(distribution.folder, files)
    publish(distribution, files, archive)
    path = tmp_path / "any-name.tar.gz"
    path.write_bytes(archive)
    source = open_source(path)
    assert (source.name, source.official) == ("any-name.tar.gz", True)
    assert source.sha256 == hashlib.sha256(archive).hexdigest()
    assert_same(source.read())


@pytest.mark.parametrize(("distribution", "write"), [(PYTHON, pickled_batches), (BINARY, binary_batches)])
def test_an_official_directory_can_be_read_from_its_parent(
    distribution: Distribution, write: Callable[[Images], dict[str, bytes]], publish: Any, tmp_path: Path
) -> None:
    files = write(IMAGES)
    publish(distribution, files)
    sums = "".join(hashlib.sha256(content).hexdigest() for content in files.values())
    for path in (unpack(tmp_path / distribution.folder, files), tmp_path):
        source = open_source(path)
        assert source.name == distribution.folder
        assert source.official is (distribution is PYTHON)
        assert source.sha256 == hashlib.sha256(sums.encode()).hexdigest()
        assert_same(source.read())


def test_the_published_checksums_agree_with_torchvision() -> None:
    datasets = pytest.importorskip("torchvision.datasets.cifar")
    assert datasets.CIFAR10.tgz_md5 == PYTHON.archive_md5
    listed = datasets.CIFAR10.train_list + datasets.CIFAR10.test_list
    assert dict(listed) == PYTHON.batches


def test_an_archive_with_another_checksum_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_bytes(pack(PYTHON.folder, pickled_batches(IMAGES)))
    monkeypatch.setattr(tarfile, "open", lambda *_: pytest.fail("it was opened"))
    assert PYTHON.archive_md5 in refusal(path)


def test_a_changed_batch_is_not_parsed(publish: Any, tmp_path: Path) -> None:
    files = pickled_batches(IMAGES)
    publish(PYTHON, files)
    files["data_batch_3"] += b"!"
    assert "MD5 of data_batch_3" in refusal(unpack(tmp_path / "d", files))


def test_a_missing_batch_is_refused(publish: Any, tmp_path: Path) -> None:
    files = pickled_batches(IMAGES)
    publish(PYTHON, files)
    del files["test_batch"]
    assert "test_batch is missing" in refusal(unpack(tmp_path / "d", files))


def test_a_binary_directory_needs_its_exact_size_labels_and_balance(publish: Any, tmp_path: Path) -> None:
    files = binary_batches(IMAGES)
    publish(BINARY, files)
    name = "data_batch_2.bin"
    assert "bytes; expected 30730" in refusal(unpack(tmp_path / "size", files | {name: files[name][:-1]}))
    assert "0 to 9" in refusal(unpack(tmp_path / "label", files | {name: b"\x0a" + files[name][1:]}))
    label = (files[name][0] + 1) % 10
    assert "differ in size" in refusal(unpack(tmp_path / "balance", files | {name: bytes([label]) + files[name][1:]}))


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


def test_a_hostile_pickle_is_refused_and_not_executed(publish: Any, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    files = pickled_batches(IMAGES) | {"data_batch_1": pickle.dumps(Evil(trace), protocol=2)}
    publish(PYTHON, files, archive := pack(PYTHON.folder, files))
    (tmp_path / "a.tar.gz").write_bytes(archive)
    for path in (tmp_path / "a.tar.gz", unpack(tmp_path / "d", files)):
        assert "system" in refusal(path)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "__import__"])
def test_a_pickle_that_refers_to_builtins_is_refused(name: str, publish: Any, tmp_path: Path) -> None:
    files = pickled_batches(IMAGES) | {"data_batch_1": f"cbuiltins\n{name}\n.".encode()}
    publish(PYTHON, files)
    assert f"builtins.{name}" in refusal(unpack(tmp_path / "d", files))


@pytest.mark.parametrize("content", [[], {b"data": 1}, {b"data": np.zeros((3, 9), np.uint8), b"labels": [1, 2, 3]}])
def test_a_pickle_without_the_arrays_is_refused(content: object, publish: Any, tmp_path: Path) -> None:
    files = pickled_batches(IMAGES) | {"data_batch_1": pickle.dumps(content, protocol=2)}
    publish(PYTHON, files)
    assert "expected" in refusal(unpack(tmp_path / "d", files))


def archive_with(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def link() -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"{PYTHON.folder}/data_batch_1")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


def test_links_oversize_members_and_other_paths_are_refused(
    publish: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10_official, "MAX_BATCH_BYTES", 9)
    large = tarfile.TarInfo(f"{PYTHON.folder}/data_batch_1")
    large.size = 10
    outside = tarfile.TarInfo(f"../{PYTHON.folder}/data_batch_1")
    path = tmp_path / "a.tar.gz"
    for archive, reason in [
        (archive_with(link()), "link or too large"),
        (archive_with(large, bytes(10)), "link or too large"),
        (archive_with(outside), "data_batch_1, data_batch_2"),
    ]:
        publish(PYTHON, pickled_batches(IMAGES), archive)
        path.write_bytes(archive)
        assert reason in refusal(path)


def test_a_truncated_archive_is_refused(publish: Any, tmp_path: Path) -> None:
    files = pickled_batches(IMAGES)
    archive = pack(PYTHON.folder, files)[:-20_000]
    publish(PYTHON, files, archive)
    (tmp_path / "a.tar.gz").write_bytes(archive)
    assert "cannot be read" in refusal(tmp_path / "a.tar.gz")

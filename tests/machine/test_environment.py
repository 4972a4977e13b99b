import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.machine import cgroup, environment
from epoch_gap.profiler.machine.environment import read_commit, read_environment
from epoch_gap.profiler.storage.manifest import environment_to_json


def test_only_allowed_conditions_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "do-not-store-me")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    text = json.dumps(environment_to_json(read_environment()))
    assert "do-not-store-me" not in text
    assert str(Path.home()) not in text
    assert '"OPENBLAS_CORETYPE": "Haswell"' in text


def test_the_blas_that_numpy_really_uses_is_named() -> None:
    np.ones((8, 8)) @ np.ones((8, 8))
    found = read_environment()
    pools = [pool for pool in found.thread_pools if pool.user_api == "blas"]
    assert all(pool.num_threads is not None and pool.num_threads >= 1 for pool in pools)
    assert pools or "accelerate" in str(found.numpy_blas).lower()


def test_unreadable_values_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "read_text", lambda path: None)
    monkeypatch.setattr(cgroup, "read_text", lambda path: None)
    machine = read_environment().machine
    assert machine.governor == machine.cgroup_cpu_max == "unknown"


def install(folder: Path, origin: object) -> str:
    """The name of a distribution in `folder` that pip says it has installed from `origin`."""
    metadata = folder / "ours-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ours\nVersion: 1.0\n")
    if origin is not None:
        (metadata / "direct_url.json").write_text(json.dumps(origin))
    return "ours"


def commit_in(folder: Path) -> None:
    who = ["-c", "user.name=us", "-c", "user.email=us@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "first"], [*who, "tag", "v1.0"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def test_an_editable_install_is_described_by_its_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "a checkout"
    checkout.mkdir()
    (checkout / "module.py").write_text("x = 1\n")
    commit_in(checkout)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    name = install(tmp_path, {"url": checkout.as_uri(), "dir_info": {"editable": True}})
    assert "%20" in checkout.as_uri()
    assert read_commit(name) == "v1.0"
    (checkout / "module.py").write_text("x = 2\n")
    assert read_commit(name) == "v1.0-dirty"


@pytest.mark.parametrize(
    ("origin", "commit"),
    [
        ({"url": "https://example.org/x", "vcs_info": {"vcs": "git", "commit_id": "0123456789ab"}}, "0123456789"),
        ({"url": "file:///nowhere/at/all", "dir_info": {"editable": True}}, None),
        ({"url": "file:///nowhere/at/all", "dir_info": {}}, None),
        ({"url": "https://example.org/x.whl", "archive_info": {}}, None),
        ({"dir_info": {"editable": True}}, None),
        (["damaged"], None),
        (None, None),
    ],
)
def test_another_install_has_the_commit_that_pip_fetched_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: object, commit: str | None
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert read_commit(install(tmp_path, origin)) == commit


def test_what_is_not_installed_has_no_commit() -> None:
    assert read_commit("a-distribution-that-nobody-has") is None
    assert read_commit(None) is None

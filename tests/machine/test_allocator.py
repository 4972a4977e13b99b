"""The allocator of a process; the real ones in processes of their own, because they are set when a process starts."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine import allocator
from epoch_gap.profiler.machine.allocator import (
    KEEP_VARIABLES,
    Allocator,
    check_allocator,
    environment_of,
    loaded_libraries,
    name_allocator,
    read_huge_pages,
)
from epoch_gap.profiler.storage.reader import find_runs, read_run
from tests.helpers.paths import ROOT

on_glibc = pytest.mark.skipif(not name_allocator().startswith("glibc"), reason="the setting is glibc's")
READ = """
import json
from epoch_gap.profiler.machine.allocator import read_allocator
from epoch_gap.profiler.machine.environment import read_environment
print(json.dumps([read_allocator(), read_allocator(), read_environment().keeps_memory]))
"""
RUN = ("run", "--framework", "fake", "--preset", "smoke", "--data", "synthetic")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in allocator.MEMORY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def profiler(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "epoch_gap.profiler", *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **variables}
    )


@on_glibc
@pytest.mark.parametrize("chosen", list(Allocator))
def test_what_becomes_of_freed_memory_is_read_back_from_the_process(chosen: Allocator) -> None:
    command = [sys.executable, "-c", READ]
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment_of(chosen)).stdout
    assert json.loads(output) == [chosen, chosen, chosen is Allocator.KEEP]


FREE_HEAP = (
    """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
blocks = [libc.malloc(100_000) for _ in range(2000)]
top = libc.malloc(1000)
for block in blocks:
    libc.free(block)
"""
    + READ
)


@on_glibc
def test_free_space_in_the_heap_is_not_taken_for_kept_memory() -> None:
    """200 MB of small blocks, freed below a block that is in use: the default does not give them back either."""
    command = [sys.executable, "-c", FREE_HEAP]
    environment = environment_of(Allocator.DEFAULT)
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert json.loads(output) == ["default", "default", False]


def test_the_default_changes_nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "12345")
    assert environment_of(Allocator.DEFAULT) == dict(os.environ)


@on_glibc
def test_a_variable_that_contradicts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000")
    with pytest.raises(UserError, match=r"needs MALLOC_TRIM_THRESHOLD_=.*, but it is 1000; unset it"):
        environment_of(Allocator.KEEP)


@pytest.mark.parametrize("name", ["macOS", "musl 1.2.4", "jemalloc"])
def test_another_allocator_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(allocator, "name_allocator", lambda: name)
    with pytest.raises(UserError, match=f"not available here: the allocator is {name}"):
        environment_of(Allocator.KEEP)
    assert allocator.read_allocator() is None


@pytest.mark.parametrize(
    ("libraries", "libc", "name"),
    [
        (["libc.so.6", "libjemalloc.so.2"], ("glibc", "2.36"), "jemalloc"),
        (["ld-musl-x86_64.so.1"], ("", ""), "musl"),
        (["ld-musl-aarch64.so.1", "libmimalloc.so.2"], ("", ""), "mimalloc"),
        (["libc.so.6"], ("glibc", "2.36"), "glibc 2.36"),
        ([], ("", ""), "C library unknown"),
    ],
)
def test_the_allocator_is_named_from_the_loaded_libraries(
    monkeypatch: pytest.MonkeyPatch, libraries: list[str], libc: tuple[str, str], name: str
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(allocator, "loaded_libraries", lambda: libraries)
    monkeypatch.setattr(platform, "libc_ver", lambda: libc)
    assert name_allocator() == name


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists them")
def test_the_libraries_of_this_process_are_found() -> None:
    assert any(name.startswith(("libc.", "ld-musl-")) for name in loaded_libraries())


def test_a_setting_without_effect_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "read_allocator", lambda: Allocator.DEFAULT)
    check_allocator(Allocator.DEFAULT)
    with pytest.raises(UserError, match="has no effect"):
        check_allocator(Allocator.KEEP)


@on_glibc
def test_a_run_restarts_with_kept_memory_says_so_and_stores_it(tmp_path: Path) -> None:
    done = profiler(*RUN, "--allocator", "keep", "--runs-dir", str(tmp_path))
    assert done.returncode == 0
    assert done.stderr.count("allocator: freed memory is kept") == 1
    (path,) = find_runs(tmp_path)
    manifest = read_run(path).manifest
    assert manifest.config.allocator is Allocator.KEEP
    assert manifest.environment.keeps_memory is True
    assert manifest.environment.memory_variables == dict(KEEP_VARIABLES)


@on_glibc
def test_a_contradiction_ends_the_command_in_one_line_before_anything_is_stored(tmp_path: Path) -> None:
    done = profiler(*RUN, "--allocator", "keep", "--runs-dir", str(tmp_path / "runs"), MALLOC_MMAP_MAX_="7")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "runs").exists()


def test_the_kernels_huge_pages_are_read_where_there_are_any() -> None:
    setting = read_huge_pages()
    assert setting is None or setting.split(", defrag ")[0] in ("always", "madvise", "never")

"""The memory allocator: what it is, and how to make glibc's keep the memory that a program has freed.

By default, glibc maps every large block anew and unmaps it when it is freed, and gives the end of its heap back. The
kernel then hands out and zeroes the same pages at every step of a training. Environment variables, which glibc reads
only when a process starts, make it keep them.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from epoch_gap.profiler.errors import UserError

BEYOND = str(2**40)
"""bytes, more than any array"""
KEEP_VARIABLES: Mapping[str, str] = {
    "MALLOC_MMAP_MAX_": "0",  # glibc before 2.35 ignores a threshold above 32 MB
    "MALLOC_MMAP_THRESHOLD_": BEYOND,
    "MALLOC_TRIM_THRESHOLD_": BEYOND,
}
MEMORY_VARIABLES = (
    *("GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_ARENA_TEST", "MALLOC_CHECK_", "MALLOC_CONF", "MALLOC_PERTURB_"),
    *("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_TRIM_THRESHOLD_"),
    *("NUMPY_MADVISE_HUGEPAGE", "PYTHONMALLOC", "THP_MEM_ALLOC_ENABLE"),
)
"""Environment variables that change how memory is handed out; recorded when they are set."""
REPLACEMENTS = ("jemalloc", "tcmalloc", "mimalloc")
"""allocators that replace the C library's if they are loaded; they ignore glibc's variables"""
PROBE = 64 * 1024**2
"""bytes of a block that glibc maps by default, unless a free part of the heap holds it: its threshold never grows
beyond 32 MB"""


class Allocator(StrEnum):
    """What becomes of freed memory; the values are those of `--allocator`."""

    DEFAULT = "default"
    KEEP = "keep"


def name_allocator() -> str:
    """The allocator of this process: a replacement by the name of its library, or the C library with its version."""
    libraries = loaded_libraries()
    if replacement := next((name for library in libraries for name in REPLACEMENTS if name in library), ""):
        return replacement
    if sys.platform == "darwin":
        return "macOS"
    if any(library.startswith(("ld-musl-", "libc.musl-")) for library in libraries):
        return "musl"
    library, version = platform.libc_ver()
    return f"{library} {version}".strip() or "C library unknown"


def read_allocator() -> Allocator | None:
    """Whether this process keeps freed memory, by trying it with one block; None if that cannot be seen here."""
    before = _read_heap() if name_allocator().startswith("glibc") else None
    if before is None:
        return None
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    size = PROBE + before.free  # no free part of the heap can hold it
    block = libc.malloc(size)
    during = _read_heap()
    libc.free(block)
    after = _read_heap()
    if not block or during is None or after is None:
        return None
    was_mapped, is_kept = during.mapped_blocks > before.mapped_blocks, after.size == during.size >= size
    return Allocator.KEEP if is_kept and not was_mapped else Allocator.DEFAULT


def environment_of(allocator: Allocator) -> dict[str, str]:
    """The environment in which a process must start to have this allocator.

    Raises UserError if this system has no such setting, or if the environment contradicts it.
    """
    environment = dict(os.environ)
    if allocator is Allocator.DEFAULT:
        return environment
    name = name_allocator()
    if not name.startswith("glibc"):
        raise UserError(f"--allocator keep is not available here: the allocator is {name}, the setting is glibc's")
    for variable, value in KEEP_VARIABLES.items():
        if environment.setdefault(variable, value) != value:
            raise UserError(f"--allocator keep needs {variable}={value}, but it is {environment[variable]}; unset it")
    return environment


def can_keep() -> bool:
    """Whether a process that this one starts could keep freed memory, and check that it does."""
    try:
        environment_of(Allocator.KEEP)
    except UserError:
        return False
    return read_allocator() is not None


def check_allocator(requested: Allocator) -> None:
    """Raise UserError if this process should keep freed memory and does not."""
    if requested is not Allocator.KEEP or (found := read_allocator()) is Allocator.KEEP:
        return
    if found is None:
        raise UserError("--allocator keep cannot be checked with this C library (glibc 2.33 or newer can be asked)")
    raise UserError("--allocator keep has no effect in this process; nothing was stored")


def read_huge_pages() -> str | None:
    """The kernel's setting of transparent huge pages, `madvise, defrag madvise`; None where there is none."""
    folder = Path("/sys/kernel/mm/transparent_hugepage")
    try:
        chosen = [(folder / name).read_text().partition("[")[2].partition("]")[0] for name in ("enabled", "defrag")]
    except OSError:
        return None
    return f"{chosen[0]}, defrag {chosen[1]}"


def loaded_libraries() -> list[str]:
    """The file names of the libraries in this process, sorted; on macOS only those inserted before the others."""
    try:
        paths = [line.split(maxsplit=5)[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
    except OSError:
        paths = os.environ.get("DYLD_INSERT_LIBRARIES", "").split(":")
    return sorted({Path(path).name for path in paths if path.startswith("/")})


_COUNTERS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _MallocInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _COUNTERS)


class _Heap(NamedTuple):
    """glibc's heap."""

    mapped_blocks: int
    """blocks that are mapped one by one, outside the heap"""
    size: int
    """bytes"""
    free: int
    """bytes of it"""


def _read_heap() -> _Heap | None:
    """None before glibc 2.33."""
    try:
        read = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return None
    read.restype = _MallocInfo
    info = read()
    return _Heap(info.hblks, info.arena, info.fordblks)

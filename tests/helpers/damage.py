"""Damaged run files: what disks, copies and editors do to them, and what must then hold."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.reader import find_runs, read_header, read_run
from epoch_gap.profiler.storage.recovery import recover_run
from epoch_gap.profiler.storage.run import Run, StepTable
from epoch_gap.profiler.storage.schema import DATABASE

PAGE = 4096
Damage = Callable[[bytearray, np.random.Generator], bytes]


def flip_bits(data: bytearray, random: np.random.Generator) -> bytes:
    for _ in range(int(random.integers(1, 9))):
        data[random.integers(len(data))] ^= 1 << int(random.integers(8))
    return bytes(data)


def overwrite(data: bytearray, random: np.random.Generator) -> bytes:
    """A stretch of random bytes."""
    start, length = int(random.integers(len(data))), int(random.integers(1, 300))
    stretch = data[start : start + length]
    data[start : start + length] = random.bytes(len(stretch))
    return bytes(data)


def zero_page(data: bytearray, random: np.random.Generator) -> bytes:
    start = PAGE * int(random.integers(len(data) // PAGE))
    data[start : start + PAGE] = bytes(PAGE)
    return bytes(data)


def swap_pages(data: bytearray, random: np.random.Generator) -> bytes:
    pages = len(data) // PAGE
    a, b = (slice(PAGE * int(i), PAGE * (int(i) + 1)) for i in random.choice(pages, 2, replace=False))
    data[a], data[b] = data[b], data[a]
    return bytes(data)


def repeat_page(data: bytearray, random: np.random.Generator) -> bytes:
    """One page in the place of another."""
    pages = len(data) // PAGE
    a, b = (slice(PAGE * int(i), PAGE * (int(i) + 1)) for i in random.choice(pages, 2, replace=False))
    data[a] = data[b]
    return bytes(data)


def truncate(data: bytearray, random: np.random.Generator) -> bytes:
    return bytes(data[: int(random.integers(len(data)))])


def append(data: bytearray, random: np.random.Generator) -> bytes:
    return bytes(data) + random.bytes(int(random.integers(1, 2 * PAGE)))


def replace_text(data: bytearray, random: np.random.Generator) -> bytes:
    """A word of the file by another of the same length, as an editor would."""
    words = [b"train", b"asrun", b"forward", b"complete", b"fenced", b"backward"]
    word = words[int(random.integers(len(words)))]
    return bytes(data).replace(word, word[::-1], 1)


def foreign(data: bytearray, random: np.random.Generator) -> bytes:
    """Another file under its name."""
    return random.bytes(int(random.integers(0, 3 * PAGE)))


KINDS: tuple[Damage, ...] = (
    flip_bits,
    overwrite,
    zero_page,
    swap_pages,
    repeat_page,
    truncate,
    append,
    replace_text,
    foreign,
)


def content(run: Run) -> list[object]:
    """Everything that a run holds, in a form that compares by value."""
    return [
        run.id,
        run.status,
        run.manifest,
        run.epochs,
        run.events,
        run.readings,
        *map(columns, (run.train, run.evaluate)),
    ]


def columns(table: StepTable) -> list[object]:
    arrays = [table.epoch, table.index, table.fenced, table.images, table.correct, table.start_ns, table.wall_ns]
    arrays += [table.loss, table.rss_bytes, *table.phase_ns.values()]
    usages = [table.usage, *table.phase_usage.values()]
    counters = [column for usage in usages if usage is not None for column in usage.columns().values()]
    return [list(table.phase_ns), list(table.phase_usage), *(array.tobytes() for array in (*arrays, *counters))]


def try_damage(whole: Run, folder: Path, kind: Damage, random: np.random.Generator) -> str:
    """Read a damaged copy of the run, and recover it if it is refused."""
    copy = folder / whole.id
    copy.mkdir(parents=True)
    damaged = kind(bytearray((whole.path / DATABASE).read_bytes()), random)
    (copy / DATABASE).write_bytes(damaged)
    found = read_or_refuse(lambda: read_run(copy))
    assert (copy / DATABASE).read_bytes() == damaged, "nothing writes to a damaged file"
    if found is not None:
        assert content(found) == content(whole)
        return "whole"
    read_or_refuse(lambda: read_header(copy))
    read_or_refuse(lambda: recover_run(copy, folder / "saved"))
    for path in find_runs(folder / "saved"):
        assert is_beginning(read_run(path), whole)
    return "refused"


def read_or_refuse[T](read: Callable[[], T]) -> T | None:
    """What `read` returns, or None if it refuses in one line."""
    try:
        return read()
    except UserError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return None


def is_beginning(saved: Run, whole: Run) -> bool:
    """Whether the saved run has the first steps of the whole one, and nothing else."""
    n, m = len(saved.train), len(saved.evaluate)
    begun = np.arange(len(whole.train)) < n, np.arange(len(whole.evaluate)) < m
    return (
        all(
            np.array_equal(a.wall_ns, b.where(keep).wall_ns) and np.array_equal(a.loss, b.where(keep).loss)
            for a, b, keep in zip((saved.train, saved.evaluate), (whole.train, whole.evaluate), begun, strict=True)
        )
        and saved.epochs == whole.epochs[: len(saved.epochs)]
    )

"""Damage to what lies beside an unfinished run's file, and to the place of the file itself."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.recording.records import Epoch
from epoch_gap.profiler.storage.reader import find_runs, read_header, read_run
from epoch_gap.profiler.storage.recovery import recover_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.profiler.storage.schema import DATABASE
from epoch_gap.profiler.storage.writer import RunWriter, create_run
from tests.helpers.damage import (
    Damage,
    content,
    flip_bits,
    foreign,
    is_beginning,
    overwrite,
    read_or_refuse,
    truncate,
)
from tests.helpers.recorded import QUIET_READING, known_step
from tests.helpers.runs import MakeRun, manifest

WAL, INDEX, JOURNAL = (f"{DATABASE}-{suffix}" for suffix in ("wal", "shm", "journal"))
FRAME = 24 + 4096
TRIALS = 60
"""of each kind"""


def write_steps(writer: RunWriter, steps: range, loss: float = 1.0) -> None:
    for i in steps:
        writer.steps([replace(known_step(0), index=i, start_ns=1000 * i, loss=loss)])
        if i % 5 == 4:
            writer.reading(0, i, replace(QUIET_READING, at_ns=i, busy_s=float(i)))
            writer.epoch(Epoch(i, 10, 0, {}, 0.1, 1.0, 0.5, None, None))


def killed(folder: Path, steps: int, loss: float = 1.0) -> Path:
    """The directory of a run as a kill after so many steps leaves it."""
    writer = create_run(folder / "live", manifest())
    write_steps(writer, range(steps), loss)
    copy = folder / f"{steps}-steps" / writer.path.name
    shutil.copytree(writer.path, copy)
    writer.finish("complete")
    return copy


@pytest.fixture(scope="module", params=[30, 400], ids=["in the log", "partly merged"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With 400 steps SQLite has merged the log once and writes it again from the start, over older frames."""
    return killed(tmp_path_factory.mktemp("killed"), request.param)


def copies(path: Path, folder: Path, kind: Damage) -> Iterator[Path]:
    """Copies of a run with damaged logs."""
    for i in range(TRIALS):
        copy = folder / str(i) / path.name
        shutil.copytree(path, copy)
        log = copy / WAL
        log.write_bytes(kind(bytearray(log.read_bytes()), np.random.default_rng([20261128, i])))
        yield copy


def zero_frame(data: bytearray, random: np.random.Generator) -> bytes:
    start = 32 + FRAME * int(random.integers((len(data) - 32) // FRAME))
    data[start : start + FRAME] = bytes(FRAME)
    return bytes(data)


def cut_between_frames(data: bytearray, random: np.random.Generator) -> bytes:
    return bytes(data[: 32 + FRAME * int(random.integers((len(data) - 32) // FRAME))])


def is_part(found: Run, whole: Run) -> bool:
    """Whether a run holds what the whole one does, up to some moment."""
    return (
        is_beginning(found, whole)
        and (found.id, found.status, found.manifest) == (whole.id, whole.status, whole.manifest)
        and found.readings == whole.readings[: len(found.readings)]
    )


@pytest.mark.parametrize(
    "kind",
    [flip_bits, overwrite, zero_frame, truncate, cut_between_frames, foreign],
    ids=lambda kind: kind.__name__,
)
def test_a_damaged_log_is_refused_or_gives_the_rows_before_the_damage(
    path: Path, tmp_path: Path, kind: Damage
) -> None:
    whole = read_run(path)
    assert "log" not in dict(whole.events)
    lengths = set()
    for copy in copies(path, tmp_path, kind):
        read_or_refuse(lambda: read_header(copy))  # noqa: B023 - called at once
        found = read_or_refuse(lambda: read_run(copy))  # noqa: B023
        if found is None:
            continue
        lengths.add(len(found.train))
        assert is_part(found, whole)
        if len(found.train) < len(whole.train) and kind is not cut_between_frames:
            assert "run.sqlite-wal is damaged from byte" in dict(found.events)["log"]
    assert kind is foreign or len(lengths) > 5


@pytest.mark.usefixtures("blank_pictures")
def test_a_damaged_log_is_mentioned_in_the_report(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    shutil.copytree(path, copy)
    log = bytearray((copy / WAL).read_bytes())
    at = 32 + FRAME * 20
    log[at + 100] ^= 1
    (copy / WAL).write_bytes(log)
    assert main(["report", str(copy), "--out", str(tmp_path / "out")]) == 0
    assert f"run.sqlite-wal is damaged from byte {at} on" in (tmp_path / "out" / "index.html").read_text()


def test_the_log_of_another_run_is_refused_by_name(path: Path, tmp_path: Path) -> None:
    for steps in (5, 30, 60, 300, 400, 500):
        other, copy = killed(tmp_path, steps, loss=2.0), tmp_path / "copy" / f"{steps}" / path.name
        shutil.copytree(path, copy)
        shutil.copy(other / WAL, copy / WAL)
        assert read_or_refuse(lambda: read_run(copy)) is None  # noqa: B023 - called at once
        if "30-steps" in str(path) and steps < 100:  # both logs hold the manifest
            with pytest.raises(UserError, match=f"run.sqlite-wal beside .* is of another run, .*{other.name}"):
                read_run(copy)


def test_an_earlier_or_later_log_of_the_same_run_gives_a_part_of_it(tmp_path: Path) -> None:
    """As a copy makes them that takes the two files at different moments."""
    writer = create_run(tmp_path / "live", manifest())
    moments = []
    for first in range(0, 500, 50):
        write_steps(writer, range(first, first + 50))
        moments.append([(writer.path / name).read_bytes() for name in (DATABASE, WAL)])
    writer.finish("complete")
    whole = replace(read_run(writer.path), status="interrupted")
    read = 0
    for i, (database, _) in enumerate(moments):
        for j, (_, log) in enumerate(moments):
            copy = tmp_path / f"{i}-{j}" / writer.path.name
            copy.mkdir(parents=True)
            (copy / DATABASE).write_bytes(database)
            (copy / WAL).write_bytes(log)
            found = read_or_refuse(lambda: read_run(copy))  # noqa: B023 - called at once
            if found is not None:
                read += 1
                assert is_beginning(found, whole)
                assert len(found.train) <= 50 * (j + 1)
    assert read >= len(moments)


@pytest.mark.parametrize("name", [INDEX, JOURNAL])
@pytest.mark.parametrize("content_of_file", [b"", bytes(40_000), b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"x" * 9_000])
def test_an_index_or_a_journal_of_something_else_changes_nothing(
    path: Path, make_run: MakeRun, tmp_path: Path, name: str, content_of_file: bytes
) -> None:
    for run in (path, make_run([1.0] * 5).path):
        copy = tmp_path / "copy" / run.name
        shutil.copytree(run, copy)
        (copy / INDEX).unlink(missing_ok=True)
        (copy / name).write_bytes(content_of_file)
        assert content(read_run(copy)) == content(read_run(run))


@pytest.mark.parametrize("name", [INDEX, JOURNAL, WAL])
@pytest.mark.parametrize("kind", ["directory", "pipe", "loop"])
def test_something_else_in_the_place_of_a_file_beside_a_run_is_no_wrong_number(
    path: Path, make_run: MakeRun, tmp_path: Path, name: str, kind: str
) -> None:
    for run in (path, make_run([1.0] * 5).path):
        copy = tmp_path / "copy" / run.name
        shutil.copytree(run, copy)
        (copy / name).unlink(missing_ok=True)
        put(kind, copy / name)
        found = read_or_refuse(lambda: read_run(copy))  # noqa: B023 - called at once
        assert found is None or is_part(found, read_run(run))


def put(kind: str, place: Path) -> None:
    if kind == "directory":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(place)


def test_a_finished_run_is_read_without_the_log_that_lies_beside_it(path: Path, make_run: MakeRun) -> None:
    run = make_run([1.0] * 5)
    shutil.copy(path / WAL, run.path / WAL)
    assert content(read_run(run.path)) == content(run)


@pytest.mark.parametrize("kind", ["directory", "pipe", "loop", "nothing", "empty"])
def test_something_else_in_the_place_of_a_run_is_named_and_left_out(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    good = make_run([1.0] * 5)
    bad = good.path.parent / "20990101T000000.000Z-bad"
    bad.mkdir()
    (bad / WAL).write_bytes(b"a log")
    place = bad / DATABASE
    if kind == "empty":
        place.touch()
    elif kind != "nothing":
        put(kind, place)
    words = {"empty": "is empty", "nothing": "does not exist"}.get(kind, "is not a file")
    for read in (read_run, read_header, lambda path: recover_run(path, path.parent)):
        with pytest.raises(UserError, match=words):
            read(bad)
    assert good.path in find_runs(good.path.parent)
    assert main(["list", "--runs-dir", str(good.path.parent)]) == 0
    assert good.id in capsys.readouterr().out
    assert main(["show", str(bad), "--runs-dir", str(good.path.parent)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert (bad / WAL).read_bytes() == b"a log"

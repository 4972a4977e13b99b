"""The collectives of a rank's steps, stored and read back, and damage to them."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.profiler.storage.recovery import recover_run
from epoch_gap.profiler.storage.run import CollectiveTable
from epoch_gap.profiler.storage.schema import DATABASE
from epoch_gap.profiler.storage.writer import create_run
from tests.helpers.ranks import known_collective
from tests.helpers.recorded import known_step
from tests.helpers.runs import manifest

RANK = {"rank": 1, "world_size": 2, "host": "a", "boot": "b"}
STEPS = [replace(known_step(i), collectives=tuple(map(known_collective, range(12)))) for i in range(3)]


def stored(folder: Path) -> Path:
    writer = create_run(folder, manifest(rank=RANK))
    writer.steps(STEPS[:2])
    writer.steps(STEPS[2:])
    writer.finish("complete")
    return writer.path


def test_collectives_are_read_as_they_were_stored(tmp_path: Path) -> None:
    run = read_run(stored(tmp_path))
    expected = CollectiveTable.from_steps(STEPS)
    assert len(run.collectives) == 36
    for name in ("epoch", "step", "phase", "kind", "bytes", "ready_ns", "done_ns"):
        assert getattr(run.collectives, name).tolist() == getattr(expected, name).tolist()
    assert run.manifest.rank is not None
    assert (run.manifest.rank.rank, run.manifest.rank.boot) == (1, "b")


def test_a_run_of_one_process_has_none(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    writer.steps([known_step(0)])
    writer.finish("complete")
    run = read_run(writer.path)
    assert (len(run.collectives), run.manifest.rank) == (0, None)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE collectives SET ready_ns = ready_ns - 1 WHERE step = 1 AND number = 3",
        "DELETE FROM collectives WHERE step = 2 AND number = 0",
        "DROP TABLE collectives",
    ],
)
def test_damage_to_them_is_noticed_and_the_steps_before_are_saved(tmp_path: Path, edit: str) -> None:
    path = stored(tmp_path)
    with closing(sqlite3.connect(path / DATABASE)) as db, db:
        db.execute(edit)
    with pytest.raises(UserError, match="is damaged: collectives"):
        read_run(path)
    saved = read_run(recover_run(path, tmp_path).path)
    assert len(saved.train) == 2 if "step = 1" in edit or "DROP" in edit else 3

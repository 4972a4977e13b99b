"""Damaged files: a run is read as it was stored, or refused in one line; its intact part can be saved."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.recording.records import Epoch
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.profiler.storage.recovery import recover_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.profiler.storage.schema import DATABASE
from epoch_gap.profiler.storage.writer import RunWriter, create_run
from tests.helpers.damage import KINDS, Damage, repeat_page, swap_pages, try_damage
from tests.helpers.edits import edit
from tests.helpers.fake_training import scripted_run
from tests.helpers.processes import store_killed_run
from tests.helpers.recorded import QUIET_READING, known_step
from tests.helpers.runs import MakeRun, manifest

TRIALS = 40
"""of each kind of damage; `make bench` tries 10 000 in all"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with everything in it."""
    folder = tmp_path_factory.mktemp("whole")
    return scripted_run(folder, lazy=True, system="backward=1", faults="forward=30")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_damaged_file_is_refused_in_one_line_or_reads_as_it_was(whole: Run, tmp_path: Path, kind: Damage) -> None:
    seed = 20261125
    outcomes = [try_damage(whole, tmp_path / str(i), kind, np.random.default_rng([seed, i])) for i in range(TRIALS)]
    print(f"seed {seed}: {outcomes.count('refused')} of {TRIALS} refused")
    assert kind.__name__ in ("append", "replace_text") or "refused" in outcomes


@pytest.fixture(scope="module")
def many_seals(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of long steps: every row was stored alone, so that whole pages of rows can change places."""
    writer = create_run(tmp_path_factory.mktemp("many"), manifest())
    for i in range(200):
        writer.steps([replace(known_step(0), index=i, start_ns=1000 * i)])
        writer.reading(0, i, replace(QUIET_READING, at_ns=i, busy_s=float(i)))
        writer.epoch(Epoch(i, 10, 0, {}, 0.1, 1.0, 0.5, None, None))
    writer.finish("complete")
    return read_run(writer.path)


@pytest.mark.parametrize("kind", [swap_pages, repeat_page], ids=lambda kind: kind.__name__)
def test_rows_in_another_order_are_not_read(many_seals: Run, tmp_path: Path, kind: Damage) -> None:
    """SQLite reads a table whose pages have changed places without a word, and every row is as it was stored."""
    rngs = [np.random.default_rng([20261127, i]) for i in range(100)]
    outcomes = [try_damage(many_seals, tmp_path / str(i), kind, rng) for i, rng in enumerate(rngs)]
    assert outcomes.count("refused") > 50


def chunks(writer: RunWriter, count: int) -> None:
    for i in range(count):
        writer.steps([known_step(2 * i), known_step(2 * i + 1)])


def test_the_part_before_the_damage_is_saved_into_a_new_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = create_run(tmp_path, manifest())
    chunks(writer, 5)
    writer.finish("complete")
    edit(
        writer.path,
        "UPDATE steps SET forward_ns = forward_ns + 1, wall_ns = wall_ns + 1 WHERE step = 6",
        version=None,
    )
    with pytest.raises(UserError, match=r"damaged: steps has rows that were changed \(chunk 4\).*recover"):
        read_run(writer.path)
    assert main(["recover", writer.path.name, "--runs-dir", str(tmp_path)]) == 0
    assert "saved 6 steps and 0 epochs" in capsys.readouterr().out
    (saved,) = [read_run(path) for path in find_runs(tmp_path) if path != writer.path]
    assert saved.train.index.tolist() == [0, 1, 2, 3, 4, 5]
    assert (saved.status, saved.manifest.recovered_from) == ("interrupted", writer.path.name)
    assert saved.events[-1][0] == "recovered"
    assert main(["recover", saved.id, "--runs-dir", str(tmp_path)]) == 2
    assert "is not damaged" in capsys.readouterr().err


@pytest.mark.parametrize("seal", [0, -1])
def test_a_damaged_number_of_a_seal_is_not_taken_for_an_early_one(tmp_path: Path, seal: int) -> None:
    writer = create_run(tmp_path, manifest())
    chunks(writer, 5)
    writer.finish("complete")
    edit(writer.path, f"UPDATE steps SET seal = {seal}, wall_ns = 1 WHERE step >= 2", version=None)
    assert recover_run(writer.path, tmp_path / "saved").rows["steps"] == 2
    assert read_run(find_runs(tmp_path / "saved")[0]).train.index.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM steps WHERE step = 3", "missing or out of place"),
        ("DELETE FROM steps WHERE step > 7", "missing or out of place"),
        ("UPDATE steps SET seal = 1 WHERE step = 4", "missing or out of place"),
        ("INSERT INTO events VALUES ('now', 'note', 'text', 99)", "without a seal in events"),
        ("DELETE FROM seals WHERE number = 5", "without a seal in steps"),
        ("UPDATE steps SET loss = NULL WHERE step = 0", "were changed"),
        ("UPDATE manifest SET value = '256' WHERE key = 'mark_cost_ns'", "manifest was changed"),
        ("DELETE FROM manifest WHERE key = 'digest'", "manifest was changed"),
    ],
)
def test_every_change_by_hand_is_noticed(tmp_path: Path, statement: str, words: str) -> None:
    writer = create_run(tmp_path, manifest())
    chunks(writer, 5)
    writer.finish("complete")
    edit(writer.path, statement, version=None)
    with pytest.raises(UserError, match=words):
        read_run(writer.path)


def test_the_loss_of_the_newest_rows_of_a_finished_run_is_noticed(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    chunks(writer, 5)
    writer.finish("complete")
    edit(writer.path, "DELETE FROM seals WHERE number = 5", "DELETE FROM steps WHERE seal = 5", version=None)
    with pytest.raises(UserError, match="4 of 5 stored chunks are left"):
        read_run(writer.path)


def test_a_step_whose_phases_do_not_sum_is_refused_in_older_files_as_well(make_run: MakeRun) -> None:
    for change, words in (
        ("UPDATE steps SET forward_ns = forward_ns + 1 WHERE step = 2", "do not sum"),
        ("UPDATE steps SET forward_ns = -1, wall_ns = backward_ns - 1 WHERE step = 2", "negative"),
        ("UPDATE epochs SET paused_ns = -1", "negative"),
    ):
        run = make_run([1.0] * 5)
        edit(run.path, change)
        with pytest.raises(UserError, match=words):
            read_run(run.path)


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    return store_killed_run(tmp_path / "killed")


def test_a_copy_without_its_log_says_which_file_is_missing(killed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / killed.name
    copy.mkdir(parents=True)
    shutil.copy(killed / DATABASE, copy)
    with pytest.raises(UserError, match=r"run\.sqlite-wal is missing"):
        read_run(copy)
    assert len(read_run(killed).train) == 2


def test_a_log_that_another_program_has_merged_is_mentioned_and_nothing_is_lost(killed: Path) -> None:
    with closing(sqlite3.connect(killed / DATABASE)) as db:
        assert db.execute("SELECT count(*) FROM steps").fetchone() == (2,)
    assert not (killed / f"{DATABASE}-wal").exists()
    run = read_run(killed)
    assert len(run.train) == 2
    assert "run.sqlite-wal is missing" in dict(run.events)["log"]


@pytest.mark.parametrize("call", range(3), ids=["first", "second", "third"])
def test_a_signal_that_arrives_just_after_a_commit_damages_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    commits = 0

    class Interrupted(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            nonlocal commits
            cursor = super().execute(sql, *values)
            if sql == "COMMIT":
                commits += 1
                if commits == 3 + call:  # after the two of the beginning
                    raise KeyboardInterrupt
            return cursor

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Interrupted))
    writer = create_run(tmp_path, manifest())
    for i in range(3):
        try:
            writer.steps([known_step(i)])
        except KeyboardInterrupt:
            writer.steps([known_step(i)])  # the recorder passes them on again
    writer.finish("interrupted")
    monkeypatch.undo()
    assert read_run(writer.path).train.index.tolist() == [0, 1, 2]


def test_a_finished_run_is_one_file(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    writer.steps([known_step(0)])
    assert (writer.path / f"{DATABASE}-wal").exists()
    writer.finish("complete")
    assert not list(writer.path.glob(f"{DATABASE}-*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_run_is_read_from_a_place_where_nothing_can_be_written(killed: Path, make_run: MakeRun) -> None:
    for path in (make_run([1.0] * 3).path, killed):
        for file in (*path.iterdir(), path):
            file.chmod(0o555 if file.is_dir() else 0o444)
        assert len(read_run(path).train) >= 2


def test_reading_writes_nothing(killed: Path, make_run: MakeRun) -> None:
    for path in (make_run([1.0] * 3).path, killed):
        before = {file.name: file.read_bytes() for file in path.iterdir() if not file.name.endswith("-shm")}
        read_run(path)
        after = {file.name: file.read_bytes() for file in path.iterdir() if not file.name.endswith("-shm")}
        assert before == after


def test_links_and_copies_are_the_same_run_once(make_run: MakeRun) -> None:
    run = make_run([1.0] * 3)
    folder = run.path.parent
    (folder / "a-link").symlink_to(run.path)
    shutil.copytree(run.path, folder / "00-copy")
    assert find_runs(folder) == [run.path]
    moved = folder / "zz-renamed"
    (folder / "a-link").unlink()
    shutil.rmtree(folder / "00-copy")
    run.path.rename(moved)
    assert read_run(moved).id == run.id


def test_one_bad_run_never_stops_a_report_of_others(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = make_run([1.0] * 6), make_run([2.0] * 6, config={"label": "bad"})
    edit(bad.path, "UPDATE steps SET loss = 0.5 WHERE step = 0", version=None)
    runs = str(good.path.parent)
    for words in (["report", "--out", str(tmp_path / "out")], ["history", "--out", str(tmp_path / "h")], ["list"]):
        assert main([*words, "--runs-dir", runs]) == 0
    assert f"{bad.path} is damaged" in capsys.readouterr().err


def test_steps_that_are_passed_on_twice_are_stored_once(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    writer.steps([known_step(0), known_step(1)])
    writer.steps([known_step(0), known_step(1), known_step(2)])
    writer.finish("complete")
    assert read_run(writer.path).train.index.tolist() == [0, 1, 2]


def test_history_json_is_complete_at_the_end_however_many_epochs(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    for number in range(5):
        writer.epoch(Epoch(number, 10, 0, {}, 0.1, 1.0, 0.5, None, None))
    writer.finish("complete")
    assert len(json.loads((writer.path / "history.json").read_text())["lr"]) == 5

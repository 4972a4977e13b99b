import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.recording.records import Epoch, Reading, ResourceUsage
from epoch_gap.profiler.storage.noise_floor_store import NOISE_JSON, NoiseFloor, load_noise_floors, save_noise_floor
from epoch_gap.profiler.storage.reader import CHUNK, find_runs, locate_run, read_header, read_run
from epoch_gap.profiler.storage.schema import DATABASE, HISTORY_JSON
from epoch_gap.profiler.storage.writer import create_run
from tests.helpers.edits import edit
from tests.helpers.large_run import large_run
from tests.helpers.paths import ROOT
from tests.helpers.processes import store_killed_run
from tests.helpers.recorded import known_step
from tests.helpers.runs import MakeRun, manifest

A_READING = Reading(5, 1_000, 800, 4096, 1.5, 1.0, None, 0.25, None, 1)
AN_EPOCH = Epoch(0, 9_000, 50, {Phase.EPOCH_START: 7}, 1e-3, 2.0, 0.3, 1.9, 0.35)


def test_written_content_is_read_back(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    writer.steps([known_step(0), known_step(1)])
    writer.steps([known_step(0, "evaluate")])
    writer.epoch(AN_EPOCH)
    writer.reading(0, 0, A_READING)
    writer.event("note", "something happened")
    writer.update({"peak_rss_bytes": 5})
    writer.finish("complete")

    run = read_run(writer.path)

    assert (run.status, run.id) == ("complete", writer.path.name)
    assert run.manifest.data == manifest().data
    assert run.manifest.peak_rss_bytes == 5
    assert run.train.wall_ns.tolist() == [1000, 999]
    assert run.train.phase_ns[Phase.FORWARD].tolist() == [700, 699]
    assert run.train.loss.tolist() == [2.5, 1.5]
    assert run.train.start_ns.tolist() == [0, 1000]
    assert len(run.evaluate) == 1
    assert run.epochs == (AN_EPOCH,)
    assert run.events == (("note", "something happened"),)
    assert run.readings == (A_READING,)
    assert run.train.rss_bytes.tolist() == [2000, 2001]


def test_usage_is_read_back_by_step_and_by_phase(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    whole, part = ResourceUsage(1, 2, 3, 4, 5, 6), ResourceUsage(0, 1, 2, 3, 4, 5)
    asrun = replace(known_step(0), usage=whole)
    fenced = replace(known_step(1), mode=TimingMode.FENCED, usage=whole, phase_usage={Phase.FORWARD: part})
    writer.steps([asrun, fenced])
    writer.finish("complete")
    train = read_run(writer.path).train
    assert train.usage is not None
    assert {name: column.tolist() for name, column in train.usage.columns().items()} == {
        "user_ns": [1, 1],
        "system_ns": [2, 2],
        "minor_faults": [3, 3],
        "major_faults": [4, 4],
        "voluntary_switches": [5, 5],
        "involuntary_switches": [6, 6],
    }
    assert train.phase_usage[Phase.FORWARD].minor_faults.tolist() == [0, 2]
    later = train.where(np.array([False, True]))
    assert later.phase_usage[Phase.FORWARD].system_ns.tolist() == [1]


def test_a_step_whose_usage_was_not_counted_makes_it_unknown_for_its_stage(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    writer.steps([replace(known_step(0), usage=ResourceUsage()), known_step(1)])
    writer.finish("complete")
    assert read_run(writer.path).train.usage is None


def test_a_phase_that_was_never_marked_is_absent_not_zero(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    writer.steps([known_step(0)])
    writer.finish("complete")
    assert set(read_run(writer.path).train.phase_ns) == {Phase.FETCH, Phase.FORWARD}
    with closing(sqlite3.connect(writer.path / DATABASE)) as db:
        assert db.execute("SELECT materialize_ns FROM steps").fetchall() == [(None,)]


def test_steps_with_different_phases_keep_their_own(tmp_path: Path) -> None:
    """Gradient accumulation: only some steps update the parameters."""
    writer = create_run(tmp_path, manifest())
    first, second = known_step(0), known_step(1)
    updating = replace(second, durations={Phase.FETCH: 300, Phase.STEP: second.wall_ns - 300})
    writer.steps([first, updating])
    writer.finish("complete")
    train = read_run(writer.path).train
    assert {phase: ns.tolist() for phase, ns in train.phase_ns.items()} == {
        Phase.FETCH: [300, 300],
        Phase.FORWARD: [700, 0],
        Phase.STEP: [0, 699],
    }


def test_history_has_the_articles_lists(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    writer.steps([known_step(0), known_step(1)])
    writer.epoch(AN_EPOCH)
    writer.finish("complete")
    history = json.loads((writer.path / HISTORY_JSON).read_text())
    assert history == {
        "train_loss": [2.0],
        "train_acc": [0.3],
        "test_loss": [1.9],
        "test_acc": [0.35],
        "lr": [1e-3],
        "epoch_time": [9e-6],
        "batch_losses": [2.5, 1.5],
    }
    assert sorted(path.name for path in writer.path.iterdir()) == [HISTORY_JSON, DATABASE]


def test_a_step_stored_twice_is_kept_once(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    writer.steps([known_step(0)])
    writer.steps([known_step(0), known_step(1)])
    writer.finish("interrupted")
    assert read_run(writer.path).train.index.tolist() == [0, 1]


def test_every_run_gets_its_own_directory(tmp_path: Path) -> None:
    writers = [create_run(tmp_path, manifest()) for _ in range(20)]
    assert len({writer.path for writer in writers}) == 20
    for writer in writers:
        writer.finish("complete")
    assert find_runs(tmp_path) == sorted(writer.path for writer in writers)


def test_an_open_run_reads_as_running_and_a_closed_one_as_it_ended(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    assert read_run(writer.path).status == "running"
    writer.finish("failed")
    assert read_run(writer.path).status == "failed"


def test_a_killed_run_keeps_its_steps_and_reads_as_interrupted(tmp_path: Path) -> None:
    run = read_run(store_killed_run(tmp_path))
    assert run.status == "interrupted"
    assert len(run.train) == 2


def test_a_run_of_version_1_is_read_without_the_later_columns(make_run: MakeRun) -> None:
    run = make_run([1.0, 2.0, 3.0], evaluation=[0.5])
    edit(
        run.path,
        "ALTER TABLE steps DROP COLUMN rss_bytes",
        "ALTER TABLE steps DROP COLUMN flush_ns",
        "ALTER TABLE epochs DROP COLUMN flush_ns",
        "DROP TABLE readings",
        version=1,
    )
    old = read_run(run.path)
    assert old.train.wall_ns.tolist() == run.train.wall_ns.tolist()
    assert {p: ns.tolist() for p, ns in old.train.phase_ns.items()} == {
        p: ns.tolist() for p, ns in run.train.phase_ns.items()
    }
    assert old.epochs == run.epochs
    assert (old.readings, old.train.rss_bytes.tolist()) == ((), [0, 0, 0])


def test_noise_floors_are_kept_by_machine_and_framework(tmp_path: Path) -> None:
    assert load_noise_floors(tmp_path) == {}
    first, newer, other = (
        NoiseFloor(name, "cpu", 128, "cifar10", share, 1.01, "equal", 6, "2026-11-24")
        for name, share in (("torch", 0.03), ("torch", 0.02), ("lucid", 0.05))
    )
    save_noise_floor(tmp_path, "here", first)
    save_noise_floor(tmp_path, "there", first)
    save_noise_floor(tmp_path, "here", other)
    save_noise_floor(tmp_path, "here", newer)
    assert load_noise_floors(tmp_path) == {
        "here": {"torch-cpu-batch-128-cifar10": newer, "lucid-cpu-batch-128-cifar10": other},
        "there": {"torch-cpu-batch-128-cifar10": first},
    }


@pytest.mark.parametrize("text", ["{", "[]", '{"here": 3}', '{"here": {"torch-cpu": {"share": 1}}}'])
def test_an_invalid_file_of_noise_floors_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / NOISE_JSON).write_text(text)
    with pytest.raises(UserError, match="make noise") as error:
        load_noise_floors(tmp_path)
    assert "\n" not in str(error.value)
    assert (tmp_path / NOISE_JSON).read_text() == text


def test_a_newer_schema_is_refused_with_its_number(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run([1.0])
    edit(run.path, version=99)
    with pytest.raises(UserError, match="schema version 99"):
        read_run(run.path)


@pytest.mark.parametrize("content", [b"", b"not a database at all, but some text" * 100])
def test_a_file_that_is_not_a_run_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DATABASE).write_bytes(content)
    with pytest.raises(UserError) as error:
        read_run(tmp_path)
    assert "\n" not in str(error.value)
    assert (tmp_path / DATABASE).read_bytes() == content


def test_a_run_is_found_by_any_unique_part_of_its_id(make_run: MakeRun) -> None:
    first, second = make_run([1.0]), make_run([1.0])
    runs = first.path.parent
    assert locate_run(first.id[-6:], runs) == first.path
    assert locate_run(str(second.path), runs) == second.path
    assert locate_run(f"../{runs.name}/{second.path.name}", runs).samefile(second.path), "relative to the runs"
    with pytest.raises(UserError, match="matches 2 runs"):
        locate_run("fake", runs)
    with pytest.raises(UserError, match="no run 'xyz'"):
        locate_run("xyz", runs)


def test_a_folder_that_cannot_be_written_to_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write runs"):
        create_run(tmp_path / "file", manifest())
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


TEXT = """
import sys
from pathlib import Path
from epoch_gap.profiler.storage.artifacts import read_text_artifact, store_artifacts
folder = store_artifacts(Path(sys.argv[1]), "name", {"file.txt": "Z\\u00fcrich"})
print(ascii(read_text_artifact(folder / "file.txt")))
"""


def test_a_text_is_read_as_it_was_written_in_any_locale(tmp_path: Path) -> None:
    settings = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", TEXT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **settings})
    assert done.stdout == "'Z\\xfcrich\\n'\n", done.stderr


def count_work(folder: Path, epochs: int) -> int:
    """Thousands of SQLite's instructions that it takes to write a run of one step per epoch."""
    writer = create_run(folder, manifest())
    calls = 0

    def count() -> int:
        nonlocal calls
        calls += 1
        return 0

    writer._db.set_progress_handler(count, 1000)
    for epoch in range(epochs):
        writer.steps([replace(known_step(0), epoch=epoch)])
        writer.epoch(replace(AN_EPOCH, epoch=epoch))
    writer.finish("complete")
    return calls


def test_an_epoch_costs_the_same_however_many_were_before_it(tmp_path: Path) -> None:
    few, many = count_work(tmp_path / "few", 500), count_work(tmp_path / "many", 2000)
    assert 3.5 < many / few < 4.5


def test_a_header_counts_the_steps_without_reading_them(make_run: MakeRun) -> None:
    run = make_run([1.0, 2.0, 3.0], evaluation=[0.5], status="failed")
    glance = read_header(run.path)
    assert (glance.id, glance.status, glance.training_steps) == (run.id, "failed", 3)
    assert glance.manifest == run.manifest
    edit(run.path, "UPDATE steps SET wall_ns = 'no number'")
    assert read_header(run.path).training_steps == 3


def test_a_run_of_many_more_steps_than_are_fetched_at_a_time_is_read_in_order(tmp_path: Path) -> None:
    steps = 2 * CHUNK + 7
    run = read_run(large_run(tmp_path, epochs=2, steps=steps))
    assert len(run.train) == 2 * steps
    assert (np.diff(run.train.start_ns) > 0).all()
    assert (sum(run.train.phase_ns.values()) == run.train.wall_ns).all()
    assert run.train.index[[0, steps - 1, steps]].tolist() == [0, steps - 1, 0]

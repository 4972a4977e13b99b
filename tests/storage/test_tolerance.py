"""Recording never harms a training: a full disk, a folder that is gone, an error of the training's own."""

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.reader import find_runs, read_run
from tests.helpers.damage import read_or_refuse
from tests.helpers.paths import ROOT

CLOCKS = {Phase.FORWARD: "nothing"}
STEPS, MANY = 400, 1200
FULL = f"""
import json, resource, signal, sys
from pathlib import Path
from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails like one on a full disk
trained = {{}}


def losses(close_step):
    # gradient descent on x**2
    x = 1.0
    for step in range({STEPS}):
        loss, x = x * x, x - 0.01 * 2 * x
        close_step(step, loss)
        yield loss


expected = list(losses(lambda step, loss: None))
for limit in map(int, sys.argv[2:]):
    runs = Path(sys.argv[1]) / str(limit)
    with recording(runs, "mine", "1", {{Phase.FORWARD: ""}}, batch_size=1, train_images={STEPS}) as recorder:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        def close_step(step, loss):
            recorder.mark(Phase.FORWARD)
            recorder.close_step(1, loss, 1)
            if step % 20 == 19:
                recorder.flush()

        recorder.start_epoch(0)
        trained[limit] = list(losses(close_step)) == expected
        recorder.close_epoch(0.1, 1.0, 1.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps(trained))
"""
"""trains with a limit on the size of a file, which starts once the run exists"""


def test_a_disk_that_is_full_at_any_moment_leaves_the_training_and_the_steps_so_far(tmp_path: Path) -> None:
    limits = [0, 1, 4096, *np.linspace(40_000, 600_000, 17).astype(int).tolist()]
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), *map(str, limits)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {str(limit): True for limit in limits}, "the same losses"
    stored = {}
    for limit in limits:
        (path,) = find_runs(tmp_path / str(limit))
        run = read_or_refuse(lambda: read_run(path))  # noqa: B023 - called at once
        if run is None:
            assert limit < limits[3], "refused in one line, as no step is stored"
            continue
        stored[limit] = len(run.train)
        assert run.train.index.tolist() == list(range(stored[limit]))
        if run.status == "complete":
            assert (len(run.epochs), stored[limit]) == (1, STEPS)
        else:  # what is missing may be the last entry only, the status
            assert run.status == "interrupted"
    assert stored[limits[3]] < STEPS == stored[limits[-1]]
    warnings = done.stderr.splitlines()
    assert warnings
    assert all("cannot be written" in line and "goes on unrecorded" in line for line in warnings)
    assert len(warnings) <= len(limits), "one for each training at most"


@pytest.mark.parametrize("pages", range(11, 31))
def test_a_database_that_is_full_ends_the_recording_and_not_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """SQLite's own error of a full disk, at 20 sizes."""
    connections: list[sqlite3.Connection] = []

    class Kept(sqlite3.Connection):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            connections.append(self)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Kept))
    trained = 0
    with recording(tmp_path, "mine", "1", CLOCKS, batch_size=1, train_images=MANY) as recorder, recorder.epoch(0):
        connections[0].execute(f"PRAGMA max_page_count = {pages}")
        for step in range(MANY):
            with recorder.step(1):
                trained += 1
            if step % 20 == 19:
                recorder.flush()
    monkeypatch.undo()
    assert trained == MANY
    run = read_run(find_runs(tmp_path)[0])
    assert run.train.index.tolist() == list(range(len(run.train)))
    assert (run.status, len(run.train) < MANY) == ("interrupted", True)
    (warning,) = capsys.readouterr().err.splitlines()
    assert "database or disk is full; its rows so far can be read" in warning


def train_until(runs: Path, error: Exception) -> None:
    """Train one step, lose the folder of the run, and fail."""
    with recording(runs, "mine", "1", CLOCKS, batch_size=1, train_images=10) as recorder:
        recorder.start_epoch(0)
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1, 1.0, 1)
        shutil.rmtree(runs)
        raise error


def test_an_error_of_the_training_passes_unchanged_when_its_run_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ZeroDivisionError("mine")
    with pytest.raises(ZeroDivisionError) as caught:
        train_until(tmp_path / "runs", error)
    assert caught.value is error
    assert caught.value.__context__ is None
    assert capsys.readouterr().err.count("WARNING") <= 1


def test_a_run_whose_folder_is_gone_does_not_end_the_training(tmp_path: Path) -> None:
    trained = 0
    with recording(tmp_path / "runs", "mine", "1", CLOCKS, batch_size=1, train_images=10) as recorder:
        recorder.start_epoch(0)
        shutil.rmtree(tmp_path / "runs")
        for _ in range(10):
            recorder.mark(Phase.FORWARD)
            recorder.close_step(1, 1.0, 1)
            recorder.flush()
            trained += 1
        recorder.close_epoch(0.1, 1.0, 1.0)
    assert trained == 10


def test_an_error_whose_text_is_no_text_passes_unchanged(tmp_path: Path) -> None:
    """A file name that is not UTF-8, for one."""
    error = FileNotFoundError("data/\udce9t\udce9.npz")
    with pytest.raises(FileNotFoundError) as caught:
        fail_with(tmp_path, error)
    assert caught.value is error
    (path,) = find_runs(tmp_path)
    run = read_run(path)
    assert run.status == "failed"
    assert "FileNotFoundError" in dict(run.events)["error"]


def fail_with(runs: Path, error: Exception) -> None:
    with recording(runs, "mine", "1", CLOCKS, batch_size=1, train_images=10) as recorder:
        recorder.start_epoch(0)
        raise error


def test_a_number_that_no_database_holds_ends_the_recording_and_not_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with recording(tmp_path, "mine", "1", CLOCKS, batch_size=1, train_images=10) as recorder, recorder.epoch(0):
        for images in (1, 2**70):
            with recorder.step(images):
                pass
            recorder.flush()
    assert capsys.readouterr().err.count("goes on unrecorded") == 1
    (path,) = find_runs(tmp_path)
    run = read_run(path)
    assert (len(run.train), run.status) == (1, "interrupted")


def test_a_loop_may_run_in_another_thread_than_the_recording_began_in(tmp_path: Path) -> None:
    with recording(tmp_path, "mine", "1", CLOCKS, batch_size=1, train_images=10) as recorder:

        def train() -> None:
            with recorder.epoch(0):
                for _ in range(10):
                    with recorder.step(1):
                        pass
                    recorder.flush()

        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    (path,) = find_runs(tmp_path)
    run = read_run(path)
    assert (len(run.train), len(run.epochs), run.status) == (10, 1, "complete")

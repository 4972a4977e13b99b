"""A trace's events, against what Chrome's trace event format asks for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.profiler.storage.writer import RunWriter, create_run
from epoch_gap.reports.export.perfetto import run_to_trace
from tests.helpers.clocks import ScriptedClock
from tests.helpers.fake_training import scripted_run
from tests.helpers.recorded import readings
from tests.helpers.runs import MakeRun, manifest


def complete(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["ph"] == "X"]


def test_phases_lie_within_their_step_one_after_the_other(tmp_path: Path) -> None:
    run = scripted_run(tmp_path, lazy=True)
    events = complete(run_to_trace(run)["traceEvents"])
    steps = [e for e in events if str(e["name"]).startswith("train")]
    assert len(steps) == len(run.train) == 40
    assert {str(e["cat"]) for e in steps} == {"asrun", "fenced"}
    for i, step in enumerate(steps):
        start, end = step["ts"], step["ts"] + step["dur"]
        inside = [e for e in events if e["tid"] == 1 and e is not step and start <= e["ts"] < end]
        assert sum(e["dur"] for e in inside) == pytest.approx(step["dur"])
        places = np.cumsum([0.0] + [e["dur"] for e in inside])[:-1] + start
        assert [e["ts"] for e in inside] == pytest.approx(list(places))
        assert step["dur"] * 1000 == pytest.approx(int(run.train.wall_ns[i]))


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.SKIPPED])
def test_no_phase_of_a_step_is_missing(clock: ScriptedClock, tmp_path: Path, phase: Phase) -> None:
    """A compiled step, for one: of 28 ms, the trace held 3."""
    writer = create_run(tmp_path, manifest())
    recorder = Recorder(set(Phase), writer, clock)
    recorder.start_epoch(0)
    for marked, ns in ((Phase.FETCH, 3_000_000), (phase, 25_000_000)):
        clock.advance(ns)
        recorder.mark(marked)
    recorder.close_step(10)
    step, *parts = complete(run_to_trace(finished(recorder, writer))["traceEvents"])
    assert sum(part["dur"] for part in parts) == pytest.approx(step["dur"]) == pytest.approx(28_000)


def finished(recorder: Recorder, writer: RunWriter) -> Run:
    recorder.flush()
    writer.finish("complete")
    return read_run(writer.path)


def test_once_per_epoch_phases_have_their_own_row(make_run: MakeRun) -> None:
    run = make_run([1.0] * 6, evaluation=[0.5])
    once = [e for e in complete(run_to_trace(run)["traceEvents"]) if e["tid"] == 2]
    assert [e["name"] for e in once] == [Phase.EPOCH_START]
    assert once[0]["ts"] + once[0]["dur"] == pytest.approx(run.train.start_ns[0] / 1000)


def test_every_event_has_the_keys_that_its_kind_needs(make_run: MakeRun) -> None:
    found = run_to_trace(replace(make_run([1.0] * 6, evaluation=[0.5]), readings=readings()))
    needed = {
        "X": {"name", "cat", "ts", "dur", "pid", "tid"},
        "M": {"name", "cat", "ts", "pid", "tid", "args"},
        "C": {"name", "cat", "ts", "pid", "tid", "args"},
    }
    for event in found["traceEvents"]:
        assert needed[event["ph"]] <= event.keys()
        assert event.get("dur", 0) >= 0
    assert {event["ph"] for event in found["traceEvents"]} == set(needed)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_long_run_is_thinned_and_the_trace_notes_it(make_run: MakeRun) -> None:
    found = run_to_trace(make_run([1.0] * 25), most_steps=10)
    assert found["otherData"]["training steps"] == "9 of 25"


def test_the_verb_writes_the_trace_to_the_given_path_and_prints_it(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run([1.0] * 3)
    assert main(["trace", str(run.path)]) == 0
    assert (run.path / "trace.json").is_file()
    target = tmp_path / "t.json"
    assert main(["trace", str(run.path), "-o", str(target)]) == 0
    assert json.loads(target.read_text()) == json.loads((run.path / "trace.json").read_text())
    assert main(["trace", str(run.path), "-o", str(tmp_path / "no" / "t.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_usage_has_a_counter_track_per_kind(tmp_path: Path) -> None:
    run = scripted_run(tmp_path, lazy=False, system="backward=11", faults="backward=550")
    events = run_to_trace(run)["traceEvents"]
    tracks: dict[str, list[float]] = {}
    for event in events:
        if event["ph"] == "C" and event["cat"] == "resource usage":
            tracks.setdefault(event["name"], []).extend(event["args"].values())
    assert set(tracks) == {
        "cores busy in the program",
        "cores busy in the kernel",
        "page faults per second",
        "context switches per second",
    }
    assert {len(values) for values in tracks.values()} == {len(run.train)}
    seconds = float(run.train.wall_ns[0]) * 1e-9
    assert tracks["cores busy in the kernel"][0] == pytest.approx(0.011 / seconds)
    assert tracks["page faults per second"][0] == pytest.approx(550 / seconds)


def test_a_run_without_usage_has_no_such_track(make_run: MakeRun) -> None:
    events = run_to_trace(make_run([1.0] * 6))["traceEvents"]
    assert not [event for event in events if event.get("cat") == "resource usage"]

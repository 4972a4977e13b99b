"""Run a user's loop on a clock that only its own `time.sleep` moves, and add up what was recorded."""

import runpy
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from epoch_gap.profiler import instrument
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.storage.run import Run
from tests.helpers.clocks import ScriptedClock


def run_script(path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Execute a script, which finds the directory of its runs as `RUNS`, and return its names."""
    clock = ScriptedClock()
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.advance(round(seconds * 1e9)))
    monkeypatch.setattr(instrument, "Recorder", partial(Recorder, clock=clock))
    return runpy.run_path(str(path), init_globals={"RUNS": str(runs)})


def recorded_seconds(run: Run) -> dict[str, float]:
    """Seconds by phase over all finished epochs and their steps; the evaluation's batches count once."""
    ns: Counter[str] = Counter({str(phase): int(of_steps.sum()) for phase, of_steps in run.train.phase_ns.items()})
    for epoch in run.epochs:
        ns.update({str(phase): of_epoch for phase, of_epoch in epoch.durations.items()})
    return {phase: total / 1e9 for phase, total in ns.items() if total}

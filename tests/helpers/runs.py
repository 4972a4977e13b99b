"""Stored runs from known numbers."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.storage.manifest import Manifest, RunStatus, manifest_from_json
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.profiler.storage.writer import create_run
from tests.helpers.clocks import ScriptedClock

BASE: dict[str, Any] = {
    "config": {
        "framework": "fake",
        "label": "",
        "preset": "quick",
        "seed": 42,
        "checkpoint": False,
        "mmap": False,
        "batch_size": 10,
        "epochs": 1,
    },
    "session": "one session",
    "framework": {
        "name": "fake",
        "title": "Fake",
        "version": "1",
        "device": "cpu",
        "phases": sorted(set(Phase) - {Phase.MATERIALIZE, Phase.FLUSH}),
    },
    "data": {
        "kind": "cifar10",
        "source": "test.npz",
        "sha256": "0" * 64,
        "train_images": 100,
        "test_images": 20,
    },
    "full_epoch": {"train_images": 104, "test_images": 20},
    "mark_cost_ns": 100.0,
    "environment": {"machine": {"cpu": "test CPU", "cores_usable": 2, "system": "Test 1"}, "python": "CPython 3"},
}


def manifest(**changes: Any) -> Manifest:
    """A small manifest; `changes` are merged into its JSON by key."""
    return manifest_from_json(merged(BASE, changes))


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, nested objects included."""
    result = dict(base)
    for key, value in changes.items():
        is_nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if is_nested else value
    return result


class MakeRun:
    """Stores runs made from known numbers in one folder, on a scripted clock, and reads them back."""

    def __init__(self, folder: Path, clock: ScriptedClock) -> None:
        self._folder, self._clock = folder, clock

    def __call__(
        self,
        steps: Iterable[float],
        *,
        images: Iterable[int] | None = None,
        evaluation: Iterable[float] = (),
        epochs: int = 1,
        losses: Iterable[float] | None = None,
        status: str = "complete",
        **changes: Any,
    ) -> Run:
        """A run whose steps take these seconds, a quarter in forward and the rest in backward."""
        steps, evaluation = list(steps), list(evaluation)
        sizes = list(images) if images is not None else [10] * len(steps)
        batch_losses = list(losses) if losses is not None else [2.0 - 0.01 * i for i in range(len(steps))]
        writer = create_run(self._folder, manifest(**changes))
        recorder = Recorder(frozenset(Phase) - {Phase.MATERIALIZE}, writer, self._clock)
        for epoch in range(epochs):
            recorder.start_epoch(epoch)
            self._mark(recorder, Phase.EPOCH_START, 0.5)
            recorder.close_outside()
            recorder.start_stage("train")
            for seconds, size, loss in zip(steps, sizes, batch_losses, strict=True):
                self._mark(recorder, Phase.FORWARD, seconds / 4)
                self._mark(recorder, Phase.BACKWARD, seconds * 3 / 4)
                recorder.close_step(size, loss, size // 2)
            recorder.start_stage("evaluate")
            for seconds in evaluation:
                self._mark(recorder, Phase.EVALUATE, seconds)
                recorder.close_step(10, 1.5, 6)
            recorder.close_epoch(1e-3, 1.9, 0.4, 1.5 if evaluation else None, 0.6 if evaluation else None)
        writer.finish(RunStatus(status))
        return read_run(writer.path)

    def _mark(self, recorder: Recorder, phase: Phase, seconds: float) -> None:
        self._clock.advance(round(seconds * 1e9))
        recorder.mark(phase)


def retimed(run: Run, seconds: NDArray[np.float64]) -> Run:
    """The run as if its training steps had taken `seconds`, of shape (n,): many runs from one, in memory."""
    wall = np.round(seconds * 1e9).astype(np.int64)
    forward = wall // 4
    phases = {Phase.FORWARD: forward, Phase.BACKWARD: wall - forward}
    start = np.cumsum(wall) - wall
    return replace(run, train=replace(run.train, start_ns=start, wall_ns=wall, phase_ns=phases))


def with_materialize(run: Run) -> Run:
    """The run as if a lazy framework had made it: all of forward but 1 ms a step is charged to materialize."""
    phases = dict(run.train.phase_ns)
    forward = np.full(len(run.train), 1_000_000)
    phases |= {Phase.FORWARD: forward, Phase.MATERIALIZE: phases[Phase.FORWARD] - forward}
    return replace(run, train=replace(run.train, phase_ns=phases))

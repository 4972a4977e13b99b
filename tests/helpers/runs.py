"""Stored runs from known numbers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run


def manifest(**changes: Any) -> dict[str, Any]:
    """A small manifest; `changes` by top-level key are merged into it."""
    base: dict[str, Any] = {
        "config": {"framework": "fake", "label": "", "preset": "quick", "seed": 42, "checkpoint": False,
                   "mmap": False, "batch_size": 10, "epochs": 1},
        "session": "one session",
        "framework": {"name": "fake", "title": "Fake", "version": "1", "device": "cpu",
                      "phases": sorted(set(Phase) - {Phase.MATERIALIZE, Phase.FLUSH})},
        "data": {"kind": "cifar10", "source": "test.npz", "sha256": "0" * 64, "train_images": 100, "test_images": 20},
        "full_epoch": {"train_images": 104, "test_images": 20},
        "mark_cost_ns": 100.0,
        "environment": {"machine": {"cpu": "test CPU", "cores_usable": 2, "system": "Test 1"}, "python": "CPython 3",
                        "packages": {}, "thread_pools": [], "variables": {}, "git": {}},
    }  # fmt: skip
    for key, value in changes.items():
        base[key] = {**base[key], **value} if isinstance(value, dict) else value
    return base


MakeRun = Callable[..., Run]


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

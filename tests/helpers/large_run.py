"""A stored run of very many steps, made without training: what reading and exporting must cope with."""

from pathlib import Path

import numpy as np

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.recording.records import Epoch, Step
from epoch_gap.profiler.storage.writer import create_run
from tests.helpers.runs import manifest

BATCH = 10
PHASES = (Phase.FETCH, Phase.COLLATE, Phase.FORWARD, Phase.BACKWARD, Phase.STEP, Phase.METRICS, Phase.OTHER)
MEAN_NS = (2e5, 1e5, 3e6, 6e6, 1e6, 1e5, 5e3)


def large_run(runs_dir: Path, epochs: int, steps: int, label: str = "") -> Path:
    """Store a complete run of `epochs` whole epochs of `steps` full steps, a third of them fenced; its directory.

    The times wander slowly: their autocorrelation is long.
    """
    random = np.random.default_rng(20261124)
    data = {"train_images": steps * BATCH, "test_images": BATCH}
    config = {"label": label}
    writer = create_run(runs_dir, manifest(data=data, full_epoch=data, config=config))
    schedule, start, rss = POLICIES["alternate"], 0, 10**9
    for epoch in range(epochs):
        slow = 1 + 0.05 * np.sin(np.linspace(epoch, epoch + 1, steps))[:, None]
        times = (random.normal(1, 0.03, (steps, len(PHASES))) * slow * MEAN_NS).astype(np.int64)
        walls = times.sum(axis=1)
        starts = start + np.cumsum(walls) - walls
        rows = zip(times.tolist(), walls.tolist(), starts.tolist(), strict=True)
        writer.steps(
            [
                Step("train", schedule(i), epoch, i, BATCH, 1.5, 5, at, wall, dict(zip(PHASES, ns, strict=True)), rss)
                for i, (ns, wall, at) in enumerate(rows)
            ]
        )
        start += int(walls.sum())
        evaluation = {Phase.EVALUATE: 2_000_000}
        writer.steps([Step("evaluate", schedule(0), epoch, 0, BATCH, 1.5, 6, start, 2_000_000, evaluation)])
        start += 2_000_000
        durations = {**evaluation, Phase.EPOCH_START: 1_000_000}
        writer.epoch(Epoch(epoch, int(walls.sum()) + 3_000_000, 0, durations, 1e-3, 1.5, 0.5, 1.5, 0.6))
    writer.finish("complete")
    return writer.path

"""Runs of several versions with known times, as a matrix stores them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run
from tests.helpers.runs import MakeRun

STEADY = [1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0]
REPEATS = (0.0, 0.003, -0.003)
"""the deviations of a version's processes"""


def runs_of_versions(
    make_run: MakeRun,
    factors: Mapping[str, float],
    repeats: Sequence[float] = REPEATS,
    session: str = "matrix",
) -> list[Run]:
    """Runs of each version, whose steps take about `factors` seconds, by version and repeat."""
    return [
        make_run([factor * (1 + deviation) * s for s in STEADY], framework={"version": version}, session=session)
        for version, factor in factors.items()
        for deviation in repeats
    ]


def with_longer(run: Run, phase: Phase, factor: float) -> Run:
    """The run as if one phase of its training steps had taken `factor` times as long."""
    phases = {
        name: np.rint(ns * (factor if name is phase else 1)).astype(np.int64)
        for name, ns in run.train.phase_ns.items()
    }
    wall = np.sum([*phases.values()], axis=0)
    return replace(run, train=replace(run.train, wall_ns=wall, start_ns=np.cumsum(wall) - wall, phase_ns=phases))

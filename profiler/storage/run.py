"""A stored run, immutable: what was asked for, where it ran, and every step that it took.

Schema version of a stored run, and what each version changed:
  1  the first: manifest, steps, epochs, events.
  2  phases `flush` and `compiled_step`; `rss_bytes` of every step; table `readings` in place of the manifest's
     `load_start`, `load_end`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import Ledger
from epoch_gap.profiler.recording.recorder import Epoch, Reading, Step

SCHEMA_VERSION = 2


def finite(loss: float | None) -> float | None:
    """A loss as JSON can hold it: None where training diverged."""
    return float(loss) if loss is not None and math.isfinite(loss) else None


STATUSES = ("running", "complete", "interrupted", "failed")


@dataclass(frozen=True, eq=False)
class StepTable:
    """One stage's steps as columns, each of shape (n,); times in ns. Equal to itself alone."""

    epoch: NDArray[np.int64]
    index: NDArray[np.int64]
    fenced: NDArray[np.bool_]
    images: NDArray[np.int64]
    loss: NDArray[np.float64]
    correct: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    wall_ns: NDArray[np.int64]
    phase_ns: Mapping[Phase, NDArray[np.int64]]
    """only the phases that the framework has"""
    rss_bytes: NDArray[np.int64]
    """the process's resident size after each; 0 where unknown"""

    def __len__(self) -> int:
        return len(self.wall_ns)

    def where(self, keep: NDArray[np.bool_]) -> "StepTable":
        """The steps for which `keep`, of shape (n,), is true."""
        if keep.all():
            return self
        return StepTable(
            self.epoch[keep],
            self.index[keep],
            self.fenced[keep],
            self.images[keep],
            self.loss[keep],
            self.correct[keep],
            self.start_ns[keep],
            self.wall_ns[keep],
            {phase: ns[keep] for phase, ns in self.phase_ns.items()},
            self.rss_bytes[keep],
        )

    @classmethod
    def of(cls, steps: Sequence[Step]) -> "StepTable":
        """Recorded steps, at least one, as columns."""
        phases = {phase: np.array([s.durations.get(phase, 0) for s in steps]) for phase in steps[0].durations}
        return cls(
            np.array([s.epoch for s in steps]),
            np.array([s.index for s in steps]),
            np.array([s.ledger is Ledger.FENCED for s in steps]),
            np.array([s.images for s in steps]),
            np.array([s.loss for s in steps]),
            np.array([s.correct for s in steps]),
            np.array([s.start_ns for s in steps]),
            np.array([s.wall_ns for s in steps]),
            phases,
            np.array([s.rss_bytes for s in steps]),
        )


@dataclass(frozen=True)
class Run:
    """One process's run. `manifest` holds JSON values: see docs/run-store.md."""

    id: str
    path: Path
    status: str
    """running | complete | interrupted | failed; a run whose process is gone is never `running`"""
    manifest: Mapping[str, Any]
    train: StepTable
    evaluate: StepTable
    epochs: tuple[Epoch, ...]
    events: tuple[tuple[str, str], ...]
    """(kind, text), in order"""
    readings: tuple[Reading, ...] = ()
    """of the machine, before and after every block of training steps, in order"""

    @property
    def framework(self) -> str:
        """The framework's registry name."""
        return str(self.manifest["config"]["framework"])

    @property
    def batch_size(self) -> int:
        """Images per full training step."""
        return int(self.manifest["config"]["batch_size"])

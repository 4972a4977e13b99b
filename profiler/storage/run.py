"""A stored run, immutable: its manifest and all of its steps."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import CollectiveKind
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.recording.records import USAGE_FIELDS, Epoch, Reading, ResourceUsage, Step
from epoch_gap.profiler.storage.manifest import Config, FrameworkInfo, Manifest, RunStatus

UNKNOWN = -1
"""the number of right answers of a step that has none to count"""


@dataclass(frozen=True, eq=False)
class UsageTable:
    """The resource usage of steps as columns, each of shape (n,); see `ResourceUsage`. Compared by identity."""

    user_ns: NDArray[np.int64]
    system_ns: NDArray[np.int64]
    minor_faults: NDArray[np.int64]
    major_faults: NDArray[np.int64]
    voluntary_switches: NDArray[np.int64]
    involuntary_switches: NDArray[np.int64]

    @classmethod
    def from_rows(cls, rows: NDArray[np.int64]) -> "UsageTable":
        """Columns from an array of shape (6, n), in the order of `USAGE_FIELDS`."""
        return cls(*rows)

    @classmethod
    def from_usages(cls, usages: Sequence[ResourceUsage]) -> "UsageTable":
        """Columns from one usage per step."""
        return cls(*(np.array([getattr(usage, name) for usage in usages], np.int64) for name in USAGE_FIELDS))

    def columns(self) -> dict[str, NDArray[np.int64]]:
        """The columns by the name of the counter."""
        return {name: getattr(self, name) for name in USAGE_FIELDS}

    @property
    def cpu_ns(self) -> NDArray[np.int64]:
        """User and system time together."""
        return self.user_ns + self.system_ns

    def scaled(self, factor: float) -> "UsageTable":
        """`factor` times the usage, rounded."""
        return UsageTable(*(_times(column, factor) for column in self.columns().values()))

    def where(self, keep: NDArray[np.bool_]) -> "UsageTable":
        """The steps for which `keep`, of shape (n,), is true."""
        return UsageTable(*(column[keep] for column in self.columns().values()))


@dataclass(frozen=True, eq=False)
class StepTable:
    """One stage's steps as columns, each of shape (n,); times in ns. Compared by identity."""

    epoch: NDArray[np.int64]
    index: NDArray[np.int64]
    fenced: NDArray[np.bool_]
    images: NDArray[np.int64]
    loss: NDArray[np.float64]
    correct: NDArray[np.int64]
    """`UNKNOWN` where there was nothing to count"""
    start_ns: NDArray[np.int64]
    wall_ns: NDArray[np.int64]
    phase_ns: Mapping[Phase, NDArray[np.int64]]
    """the phases that the framework has, and no others"""
    rss_bytes: NDArray[np.int64]
    """the process's resident size after each step; 0: unknown"""
    usage: UsageTable | None = None
    """of each step; None: not counted by the version that stored the run"""
    phase_usage: Mapping[Phase, UsageTable] = field(default_factory=dict)
    """of each phase in fenced steps, with zeros in as-run steps; empty without fenced steps"""

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
            None if self.usage is None else self.usage.where(keep),
            {phase: usage.where(keep) for phase, usage in self.phase_usage.items()},
        )

    def scaled(self, factor: float) -> "StepTable":
        """The steps as if each had done `factor` times its work: times and usage, rounded; phases sum as before."""
        if factor == 1 or not self.phase_ns:
            return self
        phases = {phase: _times(ns, factor) for phase, ns in self.phase_ns.items()}
        return replace(
            self,
            wall_ns=np.sum([*phases.values()], axis=0),
            phase_ns=phases,
            usage=None if self.usage is None else self.usage.scaled(factor),
            phase_usage={phase: usage.scaled(factor) for phase, usage in self.phase_usage.items()},
        )

    @classmethod
    def from_steps(cls, steps: Sequence[Step]) -> "StepTable":
        """Recorded steps, at least one, as columns."""
        present = dict.fromkeys(phase for s in steps for phase in s.durations)
        phases = {phase: np.array([s.durations.get(phase, 0) for s in steps]) for phase in present}
        return cls(
            np.array([s.epoch for s in steps]),
            np.array([s.index for s in steps]),
            np.array([s.mode is TimingMode.FENCED for s in steps]),
            np.array([s.images for s in steps]),
            np.array([s.loss for s in steps]),
            np.array([UNKNOWN if s.correct is None else s.correct for s in steps]),
            np.array([s.start_ns for s in steps]),
            np.array([s.wall_ns for s in steps]),
            phases,
            np.array([s.rss_bytes for s in steps]),
            _usage_table([s.usage for s in steps]),
            _phase_usage_tables(steps),
        )


def _times(values: NDArray[np.int64], factor: float) -> NDArray[np.int64]:
    return np.rint(values * factor).astype(np.int64)


def _usage_table(usages: Sequence[ResourceUsage | None]) -> UsageTable | None:
    known = [usage for usage in usages if usage is not None]
    return UsageTable.from_usages(known) if len(known) == len(usages) else None


def _phase_usage_tables(steps: Sequence[Step]) -> dict[Phase, UsageTable]:
    phases = dict.fromkeys(phase for step in steps for phase in step.phase_usage)
    return {p: UsageTable.from_usages([s.phase_usage.get(p, ResourceUsage()) for s in steps]) for p in phases}


@dataclass(frozen=True, eq=False)
class CollectiveTable:
    """The collectives of a rank's training steps as columns, each of shape (n,), in order. Compared by identity."""

    epoch: NDArray[np.int64]
    step: NDArray[np.int64]
    phase: NDArray[np.object_]
    """as in `Collective`: Phase"""
    kind: NDArray[np.object_]
    """as in `Collective`: CollectiveKind"""
    bytes: NDArray[np.int64]
    ready_ns: NDArray[np.int64]
    done_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ready_ns)

    def where(self, keep: NDArray[np.bool_]) -> "CollectiveTable":
        """The collectives for which `keep`, of shape (n,), is true."""
        return CollectiveTable(*(getattr(self, column.name)[keep] for column in fields(self)))

    @classmethod
    def from_steps(cls, steps: Sequence[Step]) -> "CollectiveTable":
        """The collectives of recorded steps as columns."""
        return cls.from_rows([(s.epoch, s.index, *astuple(c)) for s in steps for c in s.collectives])

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[Any, ...]]) -> "CollectiveTable":
        """Columns from rows of epoch, step, phase, kind, bytes, ready_ns, done_ns."""
        epoch, step, phase, kind, size, ready, done = zip(*rows, strict=True) if rows else [()] * 7
        return cls(
            np.array(epoch, np.int64),
            np.array(step, np.int64),
            np.array([*map(Phase, phase)], np.object_),
            np.array([*map(CollectiveKind, kind)], np.object_),
            np.array(size, np.int64),
            np.array(ready, np.int64),
            np.array(done, np.int64),
        )


@dataclass(frozen=True)
class Run:
    """One process's run."""

    id: str
    path: Path
    status: RunStatus
    """a run whose process is gone is never `running`"""
    manifest: Manifest
    train: StepTable
    evaluate: StepTable
    epochs: tuple[Epoch, ...]
    events: tuple[tuple[str, str], ...]
    """(kind, text), in order"""
    readings: tuple[Reading, ...] = ()
    """of the machine, before and after every block of training steps, in order"""
    collectives: CollectiveTable = field(default_factory=lambda: CollectiveTable.from_rows([]))
    """of the training steps of a rank of a distributed training"""

    @property
    def config(self) -> Config:
        """The settings, as requested."""
        return self.manifest.config

    @property
    def framework(self) -> FrameworkInfo:
        """The framework and device that were measured."""
        return self.manifest.framework

    @property
    def batch_size(self) -> int:
        """Images per full training step."""
        return self.manifest.config.batch_size

    @property
    def short_id(self) -> str:
        """The random suffix of the id."""
        return self.id.rpartition("-")[2]

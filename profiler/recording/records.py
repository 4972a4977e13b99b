"""The records that a recorder passes on: steps, their resource usage, epochs, readings of the machine.

Standard library only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from resource import struct_rusage
from typing import Literal, Protocol

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import Collective
from epoch_gap.profiler.recording.fencing import TimingMode

Stage = Literal["train", "evaluate"]
Durations = dict[Phase, int]
"""nanoseconds by phase"""


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What the operating system counted for a process between two readings, all its threads together."""

    user_ns: int = 0
    """CPU time in the program"""
    system_ns: int = 0
    """CPU time in the operating system's kernel on behalf of the program"""
    minor_faults: int = 0
    """page faults without input or output: the kernel handed out a page of memory"""
    major_faults: int = 0
    """page faults that had to read from disk"""
    voluntary_switches: int = 0
    """context switches because a thread waited"""
    involuntary_switches: int = 0
    """context switches because a thread's turn was over"""

    @classmethod
    def between(cls, earlier: struct_rusage, later: struct_rusage) -> "ResourceUsage":
        """The usage between two readings of `getrusage`."""
        return cls(
            round((later.ru_utime - earlier.ru_utime) * 1e9),
            round((later.ru_stime - earlier.ru_stime) * 1e9),
            later.ru_minflt - earlier.ru_minflt,
            later.ru_majflt - earlier.ru_majflt,
            later.ru_nvcsw - earlier.ru_nvcsw,
            later.ru_nivcsw - earlier.ru_nivcsw,
        )

    def plus(self, other: "ResourceUsage") -> "ResourceUsage":
        """The sum of two usages."""
        return ResourceUsage(*(getattr(self, name) + getattr(other, name) for name in USAGE_FIELDS))


USAGE_FIELDS = tuple(field.name for field in fields(ResourceUsage))
"""the names of the counters, in order"""


@dataclass(frozen=True, slots=True)
class Step:
    """One training or evaluation batch. Times in nanoseconds of the run's clock."""

    stage: Stage
    mode: TimingMode
    epoch: int
    index: int
    images: int
    loss: float
    """mean over the batch; NaN: diverged, or not told"""
    correct: int | None
    """right answers; None: nothing to count"""
    start_ns: int
    wall_ns: int
    """from the first boundary to the last"""
    durations: Durations
    """sums to `wall_ns`"""
    rss_bytes: int = 0
    """resident size of the process after the step; 0: unknown"""
    usage: ResourceUsage | None = None
    """from the first boundary to the last; None: not counted"""
    phase_usage: Mapping[Phase, ResourceUsage] = field(default_factory=dict)
    """of each phase of a fenced step; empty for an as-run step, whose marks read only the clock"""
    collectives: tuple[Collective, ...] = ()
    """of a rank of a distributed training, in order"""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The time of one epoch outside its training steps, and the time that the recorder itself took."""

    epoch: int
    wall_ns: int
    """training steps + `durations`; without `paused_ns`"""
    paused_ns: int
    """the recorder's own work between steps, including writes to disk; in no phase"""
    durations: Durations
    """outside the training steps"""
    lr: float | None
    train_loss: float | None
    train_acc: float | None
    test_loss: float | None
    test_acc: float | None
    """None: not told; of a test, None without an evaluation"""


@dataclass(frozen=True, slots=True)
class Reading:
    """The state of the machine between two blocks of steps. None: not readable on this system."""

    at_ns: int
    """on the run's clock"""
    matmul_ns: int
    loop_ns: int
    """duration of the canary's two parts"""
    rss_bytes: int
    busy_s: float
    """CPU seconds used by all processes of the machine"""
    own_s: float
    """CPU seconds used by this process"""
    steal_s: float | None
    """CPU seconds that the host withheld from a virtual machine, all CPUs together"""
    load_1min: float
    throttled: int | None
    """number of times that the control group's CPU limit has stopped the process"""
    other_runs: int
    """timed runs of other sessions at this moment"""
    turn: int = 0
    """the turn of this process in which it was read, if processes take turns; counters are compared within a turn"""


class Sink(Protocol):
    """The destination of finished steps, epochs and readings. Called only outside the measured path."""

    def steps(self, steps: list[Step]) -> None:
        """Store these steps durably; a step that was stored before is not stored twice."""

    def epoch(self, epoch: Epoch) -> None:
        """Store this epoch durably."""

    def reading(self, epoch: int, step: int, reading: Reading) -> None:
        """Store durably a reading taken before training step `step` (or after the last one)."""


class DiscardingSink:
    """A sink that stores nothing."""

    def steps(self, steps: list[Step]) -> None:
        """Discard them."""

    def epoch(self, epoch: Epoch) -> None:
        """Discard it."""

    def reading(self, epoch: int, step: int, reading: Reading) -> None:
        """Discard it."""

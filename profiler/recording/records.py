"""The records that a recorder passes on: steps, epochs, and readings of the machine. Standard library only."""

from dataclasses import dataclass
from typing import Literal, Protocol

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import TimingMode

Stage = Literal["train", "evaluate"]
Durations = dict[Phase, int]
"""nanoseconds by phase"""


@dataclass(frozen=True, slots=True)
class Step:
    """One training or evaluation batch. Times in nanoseconds of the run's clock."""

    stage: Stage
    mode: TimingMode
    epoch: int
    index: int
    images: int
    loss: float
    """mean over the batch"""
    correct: int
    start_ns: int
    wall_ns: int
    """from the first boundary to the last"""
    durations: Durations
    """sums to `wall_ns`"""
    rss_bytes: int = 0
    """resident size of the process after the step; 0: unknown"""


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
    lr: float
    train_loss: float
    train_acc: float
    test_loss: float | None
    test_acc: float | None
    """None without an evaluation"""


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

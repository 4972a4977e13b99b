"""A scripted framework with known costs, by busy-waiting: tests check reports against the script."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from resource import struct_rusage
from types import MappingProxyType
from typing import Any

from epoch_gap.profiler.drilldown.spans import Direction
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import BUILT_IN, Phase
from epoch_gap.profiler.recording.recorder import Clock, ReadUsage
from epoch_gap.workloads.adapters.fake_spans import FakeLayerTimings
from epoch_gap.workloads.architecture import Architecture, resnet18
from epoch_gap.workloads.framework import (
    LOGGING_CLOCK,
    Batch,
    Collate,
    Images,
    Labels,
    Weights,
    WrapCollate,
    seed_python,
)
from epoch_gap.workloads.optimizer import StepLR

DEFAULT_COSTS = "fetch=1,collate=2,to_device=1,forward=10,backward=20,step=5,metrics=1,evaluate=8"
DEFAULT_VERSION = "1"
CONSTANT = StepLR(step_size=1, gamma=1.0)
_LAZY = frozenset({Phase.MATERIALIZE, Phase.FLUSH})
_SCRIPTABLE = BUILT_IN - {Phase.LOGGING, Phase.OTHER, Phase.COMPILED}


@dataclass(frozen=True)
class _Work:
    """Work to do: its time, the part of it that counts as system time, and its page faults."""

    ms: float = 0.0
    system_ms: float = 0.0
    faults: float = 0.0

    def plus(self, other: "_Work") -> "_Work":
        return _Work(self.ms + other.ms, self.system_ms + other.system_ms, self.faults + other.faults)


class Fake:
    """Spends `costs` milliseconds per full batch in each phase; a smaller batch takes proportionally less.

    `system` is the part of these milliseconds that its own counters report as system time, and `faults` the page
    faults that they report, per full batch.

    A lazy fake defers the work of forward and backward to the next wait: `materialize`, `step` or `metrics`.
    Meanwhile, `overlap` of the time that passes is spent on it, as by a device that computes beside the program.
    The cost of `flush` accumulates over the steps until a fence or the end of the epoch.
    """

    name = "fake"
    title = "scripted fake"
    distribution = None
    checkpoint_name = "model.txt"
    charged_to: Mapping[Phase, Phase] = MappingProxyType({})
    device = "cpu"
    parity = None

    def __init__(
        self,
        seed: int,
        batch_size: int,
        costs: str = DEFAULT_COSTS,
        lazy: bool = False,
        clock: Clock | None = None,
        system: str = "",
        faults: str = "",
        overlap: float = 0.0,
        version: str = DEFAULT_VERSION,
        architecture: Architecture = resnet18,
    ) -> None:
        seed_python(seed)
        self.version, self.architecture = version, architecture
        self.costs = parse_costs(costs)
        self._system_ms, self._faults = parse_costs(system, "--fake-system"), parse_faults(faults)
        self._done = _Work()
        self.scripted_usage: ReadUsage | None = self._usage if system or faults else None
        self.phases = BUILT_IN - {Phase.COMPILED} - (frozenset() if lazy else _LAZY)
        self.clocks = _clocks(self.phases - {Phase.OTHER}, lazy)
        self.schedule = CONSTANT
        self._epoch = 0
        self._weights: Weights = {}
        if not lazy and (surplus := _LAZY & self.costs.keys()):
            raise UserError(f"--fake-costs: {min(surplus)} is a phase of a lazy fake only; add --fake-lazy")
        self._lazy, self._batch_size = lazy, batch_size
        self._clock = clock or time.perf_counter_ns
        self._owed = self._state = _Work()
        self._overlap, self._owed_since = overlap, 0
        self._images = batch_size
        self._steps = 0
        self._evaluating = False
        self.layer_timings = FakeLayerTimings(self._compute)

    @property
    def lr(self) -> float:
        return self.schedule.lr(self._epoch)

    def parameter_count(self) -> int:
        return self.architecture.parameter_count()

    def loader(
        self,
        images: Images,
        labels: Labels,
        batch_size: int,
        shuffle: bool,
        wrap_collate: WrapCollate,
        order: Sequence[int] | None = None,
    ) -> Iterable[Batch]:
        return _Loader(self, len(labels), batch_size, wrap_collate(self._collate))

    def train(self) -> None:
        pass

    def to_device(self, batch: Batch) -> tuple[int, int]:
        self._images = int(batch)
        self.spend(Phase.TO_DEVICE)
        return self._images, self._images

    def zero_grad(self) -> None:
        self.spend(Phase.ZERO_GRAD)

    def forward(self, inputs: int, targets: int) -> tuple[float, float]:
        with self.layer_timings.span(Direction.FORWARD):
            self._request(Phase.FORWARD)
        if self._evaluating:
            self.spend(Phase.EVALUATE)
        loss = 0.2 + 2.1 * math.exp(-self._steps / 40)
        return loss, loss

    def materialize(self, loss: float) -> None:
        self._compute()
        self.spend(Phase.MATERIALIZE)

    def backward(self, loss: float) -> None:
        with self.layer_timings.span(Direction.BACKWARD):
            self._request(Phase.BACKWARD)

    def step(self) -> None:
        self._compute()
        self.spend(Phase.STEP)
        self._state = self._state.plus(self._work(Phase.FLUSH))
        self._steps += 1

    def metrics(self, logits: float, loss: float, targets: int) -> tuple[float, float, int, int]:
        self._compute()
        self.spend(Phase.METRICS)
        correct = round(targets * max(0.1, 1 - loss / 2.4))
        return loss, loss * targets, correct, targets

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        self._evaluating = True
        try:
            yield
        finally:
            self._evaluating = False

    def end_epoch(self) -> None:
        self._epoch += 1

    def use_schedule(self, schedule: StepLR) -> None:
        self.schedule = schedule

    def read_weights(self) -> Weights:
        return self._weights

    def set_weights(self, weights: Weights) -> None:
        self._weights = weights

    def save(self, path: Path) -> None:
        self.spend(Phase.CHECKPOINT)
        path.write_text(f"{self._steps}\n")

    def describe(self) -> dict[str, Any]:
        script = ",".join(f"{phase}={ms:g}" for phase, ms in self.costs.items())
        schedule = "none" if self.schedule is CONSTANT else str(self.schedule)
        return {"script": script, "execution": "lazy" if self._lazy else "eager", "schedule": schedule}

    def wait(self) -> None:
        """Do all deferred work."""
        self._compute()
        owed, self._state = self._state, _Work()
        self._do(owed)

    def _usage(self) -> struct_rusage:
        done = self._done
        user = (done.ms - done.system_ms) / 1e3
        return struct_rusage((user, done.system_ms / 1e3, *[0] * 4, round(done.faults), *[0] * 9))

    def _compute(self) -> None:
        """Do the work on which the loss and the parameters depend."""
        owed, self._owed = self._owed, _Work()
        if self._overlap and owed.ms:
            done_ms = self._overlap * (self._clock() - self._owed_since) / 1e6
            owed = replace(owed, ms=max(0.0, owed.ms - done_ms))
        self._do(owed)

    def spend(self, phase: Phase) -> None:
        """Busy-wait for the scripted cost of `phase`; during evaluation only `evaluate` has a cost."""
        if self._evaluating and phase is not Phase.EVALUATE:
            return
        self._do(self._work(phase))

    def _request(self, phase: Phase) -> None:
        if self._lazy and not self._evaluating:
            if not self._owed.ms:
                self._owed_since = self._clock()
            self._owed = self._owed.plus(self._work(phase))
        else:
            self.spend(phase)

    def _work(self, phase: Phase) -> _Work:
        share = 1.0 if phase in (Phase.EPOCH_START, Phase.CHECKPOINT) else self._images / self._batch_size
        return _Work(*(script.get(phase, 0.0) * share for script in (self.costs, self._system_ms, self._faults)))

    def _do(self, work: _Work) -> None:
        """Busy-wait for the work's time, and count what it uses."""
        end = self._clock() + round(work.ms * 1e6)
        while self._clock() < end:
            pass
        self._done = self._done.plus(work)

    def _collate(self, images: int) -> int:
        self.spend(Phase.COLLATE)
        return images


def _clocks(phases: Iterable[Phase], lazy: bool) -> dict[Phase, str]:
    clocks = dict.fromkeys(phases, "busy-waits for its scripted milliseconds")
    clocks[Phase.LOGGING] = LOGGING_CLOCK
    if not lazy:
        return clocks
    return clocks | {
        Phase.FORWARD: "notes its scripted milliseconds, which the next wait spends",
        Phase.MATERIALIZE: "busy-waits for what forward noted, then for its own",
        Phase.BACKWARD: "notes its scripted milliseconds, which the next wait spends",
        Phase.STEP: "busy-waits for what backward noted, then for its own",
        Phase.FLUSH: "busy-waits for what the steps since the last wait have left to it",
    }


class _Loader:
    """Yields the number of images in each batch."""

    def __init__(self, fake: Fake, images: int, batch_size: int, collate: Collate) -> None:
        self._fake, self._images, self._batch_size, self._collate = fake, images, batch_size, collate

    def __iter__(self) -> Iterator[int]:
        self._fake.spend(Phase.EPOCH_START)
        return self._batches()

    def _batches(self) -> Iterator[int]:
        for start in range(0, self._images, self._batch_size):
            images = min(self._batch_size, self._images - start)
            self._fake._images = images
            self._fake.spend(Phase.FETCH)
            yield self._collate(images)


def parse_costs(text: str, option: str = "--fake-costs") -> Mapping[Phase, float]:
    """Parse `forward=10,backward=20` (milliseconds per full batch). Raises UserError."""
    return _parse_script(text, option, "MILLISECONDS", "a cost", 60_000, " ms")


def parse_faults(text: str) -> Mapping[Phase, float]:
    """Parse `forward=1000` (page faults per full batch). Raises UserError."""
    return _parse_script(text, "--fake-faults", "NUMBER", "a number of page faults", 10**9, "")


def _parse_script(text: str, option: str, unit: str, what: str, most: float, suffix: str) -> Mapping[Phase, float]:
    script: dict[Phase, float] = {}
    for item in filter(None, text.split(",")):
        name, _, number = item.partition("=")
        try:
            phase, value = Phase(name.strip()), float(number)
        except ValueError:
            raise UserError(f"{option}: {item!r} is not PHASE={unit}") from None
        if phase not in _SCRIPTABLE:
            raise UserError(f"{option}: {item!r}: {phase} cannot be scripted")
        if not 0 <= value <= most:
            raise UserError(f"{option}: {item!r}: {what} must be between 0 and {most}{suffix}")
        script[phase] = value
    return script

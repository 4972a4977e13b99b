"""What many tests share: runs made from known numbers, and a clock that only moves when told."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser

from profiler import store
from profiler.commands.main import main
from profiler.phases import Phase
from profiler.recorder import Recorder
from profiler.run import Run
from tests.browser import Open, chromium

SMALL = ["--data", "synthetic", "--train-limit", "40", "--test-limit", "20", "--batch-size", "10", "--steps", "3"]
QUICK_SCRIPT = ["--fake-costs", "forward=1,backward=2,step=1", "--quiet"]


class ScriptedClock:
    """Nanoseconds that pass only when `advance` is called."""

    def __init__(self) -> None:
        self.now = 1_000

    def __call__(self) -> int:
        return self.now

    def advance(self, ns: int) -> None:
        self.now += ns


@pytest.fixture(autouse=True)
def lock_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's timed runs meet: apart from other tests', and from real ones."""
    folder = tmp_path_factory.mktemp("locks")
    monkeypatch.setenv("EPOCH_GAP_LOCKS", str(folder))
    return folder


@pytest.fixture
def clock() -> ScriptedClock:
    return ScriptedClock()


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens reports in a browser."""
    pages = Open(browser)
    yield pages
    pages.close()


MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tmp_path: Path, clock: ScriptedClock) -> MakeRun:
    """Store and read back a run whose steps take the given seconds, split over forward and backward 1:3."""

    def make(
        steps: Iterable[float],
        *,
        images: Iterable[int] | None = None,
        evaluation: Iterable[float] = (),
        epochs: int = 1,
        losses: Iterable[float] | None = None,
        status: str = "complete",
        **changes: Any,
    ) -> Run:
        steps, evaluation = list(steps), list(evaluation)
        sizes = list(images) if images is not None else [10] * len(steps)
        batch_losses = list(losses) if losses is not None else [2.0 - 0.01 * i for i in range(len(steps))]
        writer = store.create(tmp_path / "runs", "fake", "cpu", manifest(**changes))
        recorder = Recorder(frozenset(Phase) - {Phase.MATERIALIZE}, writer, clock)
        for epoch in range(epochs):
            recorder.start_epoch(epoch)
            _mark(recorder, clock, Phase.EPOCH_START, 0.5)
            recorder.close_outside()
            recorder.start_stage("train")
            for seconds, size, loss in zip(steps, sizes, batch_losses, strict=True):
                _mark(recorder, clock, Phase.FORWARD, seconds / 4)
                _mark(recorder, clock, Phase.BACKWARD, seconds * 3 / 4)
                recorder.close_step(size, loss, size // 2)
            recorder.start_stage("evaluate")
            for seconds in evaluation:
                _mark(recorder, clock, Phase.EVALUATE, seconds)
                recorder.close_step(10, 1.5, 6)
            recorder.close_epoch(1e-3, 1.9, 0.4, 1.5 if evaluation else None, 0.6 if evaluation else None)
        writer.finish(status)
        return store.read(writer.path)

    return make


def _mark(recorder: Recorder, clock: ScriptedClock, phase: Phase, seconds: float) -> None:
    clock.advance(round(seconds * 1e9))
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


def autoregression(random: np.random.Generator, rho: float, n: int) -> np.ndarray:
    """Shape (n,): mean 10, standard deviation 1, each value correlated by `rho` with the one before."""
    noise = random.normal(0, math.sqrt(1 - rho**2), n)
    noise[0] = random.normal()
    for i in range(1, n):
        noise[i] += rho * noise[i - 1]
    return 10 + noise


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EPOCH_GAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CIFAR10_DATA", raising=False)
    return tmp_path / "runs"


def fake_run(runs: Path, *more: str) -> int:
    return main(["run", "--framework", "fake", *SMALL, *QUICK_SCRIPT, "--runs-dir", str(runs), *more])

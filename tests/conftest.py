"""What many tests share: runs made from known numbers, and a clock that only moves when told."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.storage import store
from epoch_gap.profiler.storage.run import Run
from tests.helpers.browser import Open, chromium
from tests.helpers.clocks import ScriptedClock
from tests.helpers.runs import MakeRun, manifest


@pytest.fixture(autouse=True)
def lock_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's timed runs meet: apart from other tests', and from real ones."""
    folder = tmp_path_factory.mktemp("locks")
    monkeypatch.setenv("EPOCH_GAP_LOCKS", str(folder))
    return folder


@pytest.fixture
def clock() -> ScriptedClock:
    return ScriptedClock()


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


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EPOCH_GAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CIFAR10_DATA", raising=False)
    return tmp_path / "runs"

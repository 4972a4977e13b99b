"""Trainings with known accuracies and losses, in place of the verb `run`."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from epoch_gap.profiler.learning.cross import SCHEDULE, WEIGHTS
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.writer import create_run
from tests.helpers.clocks import ScriptedClock
from tests.helpers.runs import manifest

EPOCHS, BATCH, STEPS = 8, 32, 5
TITLES = {"torch": "PyTorch", "lucid": "Lucid"}
Truth = Callable[[str, bool, bool, int], tuple[float, float]]
"""test accuracy at the end and first loss, by framework, other schedule, other weights and seed"""


class Trainings:
    """Stores one finished training per call, as its words ask for and as `truth` says; the n-th may fail."""

    def __init__(self, truth: Truth, fails_at: int = 0) -> None:
        self._truth, self._fails_at = truth, fails_at
        self._clock = ScriptedClock()
        self.calls: list[list[str]] = []

    def __call__(self, words: Sequence[str]) -> tuple[int, Path | None]:
        self.calls.append(list(words))
        if len(self.calls) == self._fails_at:
            return 130, None
        framework, seed = value_of(words, "--framework"), int(value_of(words, "--seed"))
        switches = [word for before, word in pairwise(words) if before == "--switch"]
        accuracy, first = self._truth(framework, SCHEDULE in switches, WEIGHTS in switches, seed)
        session = value_of(words, "--session") if "--session" in words else ""
        network = {"model": value_of(words, "--model"), "image_size": int(value_of(words, "--image-size"))}
        folder = Path(value_of(words, "--runs-dir"))
        path = store_training(
            folder, self._clock, framework, switches, seed, session, accuracy, first, network=network
        )
        return 0, path


def value_of(words: Sequence[str], option: str) -> str:
    return words[list(words).index(option) + 1]


def store_training(
    folder: Path,
    clock: ScriptedClock,
    framework: str,
    switches: Sequence[str],
    seed: int,
    session: str,
    accuracy: float,
    first_loss: float,
    network: Mapping[str, Any],
) -> Path:
    """A run of the preset `curve` whose test accuracy rises to `accuracy` and stays. Lucid's steps are longer."""
    ns = 3 * 10**8 if framework == "lucid" else 10**8
    config = {
        "framework": framework,
        "preset": "curve",
        "seed": seed,
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "train_limit": STEPS * BATCH,
        "test_limit": 100,
        "switches": list(switches),
        **network,
    }
    told = manifest(
        config=config,
        session=session,
        framework={"name": framework, "title": TITLES.get(framework, framework)},
        data={"train_images": STEPS * BATCH, "test_images": 100},
        full_epoch={"train_images": 50_000, "test_images": 10_000},
    )
    writer = create_run(folder, told)
    recorder = Recorder(frozenset(Phase) - {Phase.MATERIALIZE}, writer, clock)
    for epoch in range(EPOCHS):
        recorder.start_epoch(epoch)
        recorder.close_outside()
        recorder.start_stage("train")
        for step in range(STEPS):
            for phase in (Phase.FORWARD, Phase.BACKWARD):
                clock.advance(ns)
                recorder.mark(phase)
            recorder.close_step(BATCH, first_loss / (1 + step + epoch), BATCH // 2)
        recorder.start_stage("evaluate")
        clock.advance(10**8)
        recorder.mark(Phase.EVALUATE)
        reached = min(1.0, (epoch + 1) / (EPOCHS / 2)) * accuracy
        recorder.close_step(100, 1.5, round(100 * reached))
        recorder.close_epoch(1e-3, 1.9, 0.4, 1.5, reached)
    writer.finish(RunStatus.COMPLETE)
    return writer.path

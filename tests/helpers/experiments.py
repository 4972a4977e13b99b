"""Sessions of experiments on the scripted fake, in this process and on a scripted clock."""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.commands import experiment as experiment_command
from epoch_gap.profiler.commands import run as run_command
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared import isolated_process
from epoch_gap.profiler.drilldown.spans import Spans
from epoch_gap.profiler.experiments.assessment import Assessment, Outcome, load_assessment
from epoch_gap.profiler.experiments.session_store import EXPERIMENTS
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.workloads import experiments, registry, watched_steps
from epoch_gap.workloads.adapters import fake
from epoch_gap.workloads.adapters.fake import Fake
from tests.helpers.clocks import TickingClock
from tests.helpers.paths import ROOT
from tests.helpers.recorded import QUIET_READING

COSTS = "fetch=1,collate=1,forward=10,backward=10,step=4,metrics=1"
STEP = 0.027
"""seconds, and a little for each look at the clock"""
ROUNDS = 3
SIZE = ["--data", "synthetic", "--batch-size", "10", "--train-limit", "1200", "--test-limit", "20"]


class Faster(Fake):
    """A second scripted framework, whose forward takes 0.4 of the time of `COSTS`, and backward half of it."""

    name = "faster"
    title = "faster fake"


FASTER_COSTS = "fetch=1,collate=1,forward=4,backward=5,step=4,metrics=1"


class NoisyFake(Fake):
    """Its work takes longer or shorter, by an autocorrelated factor of mean 1."""

    def __init__(self, *args: Any, random: np.random.Generator, spread: float, **more: Any) -> None:
        super().__init__(*args, **more)
        self._random, self._spread, self._slowness = random, spread, 0.0

    def to_device(self, batch: Any) -> tuple[int, int]:
        self._slowness = 0.5 * self._slowness + float(self._random.normal(0, self._spread))
        return super().to_device(batch)

    def _do(self, work: Any) -> None:
        super()._do(type(work)(work.ms * max(0.1, 1 + self._slowness), work.system_ms, work.faults))


class InProcess:
    """Runs verbs in this process, one after the other."""

    def __init__(self, kill_at: str = "") -> None:
        self._kill_at = kill_at
        self.frameworks: set[str] = set()
        """that were trained or watched"""

    def run(self, words: Sequence[str]) -> tuple[int, Path | None]:
        self._note(words)
        if self._kill_at and self._kill_at in words:
            raise RuntimeError("killed")
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            status = main(["run", *words])
        lines = output.getvalue().splitlines()
        return status, Path(lines[-1]) if lines else None

    def rounds(self, sides: Mapping[str, Sequence[str]], seconds: float, session: str) -> tuple[int, list[Path]]:
        paths = []
        for number in range(1, ROUNDS + 1):
            names = list(sides) if number % 2 else list(sides)[::-1]
            place = ["--session", session, "--round", str(number), "--order", ",".join(names)]
            for turn, name in enumerate(names, start=1):
                status, path = self.run([*sides[name], *place, "--turn", str(turn), "--steps", "8"])
                if status or path is None:
                    return status, paths
                paths.append(path)
        return 0, paths

    def drill_down(self, words: Sequence[str]) -> int:
        self._note(words)
        with contextlib.redirect_stdout(io.StringIO()):
            return main(list(words))

    def ratios(self, words: Sequence[str]) -> list[float]:
        self._note(words)
        return isolated_process.measure_ratios(isolated_process.parse(words))

    def _note(self, words: Sequence[str]) -> None:
        self.frameworks.add(words[words.index("--framework") + 1])


@contextmanager
def scripted(
    monkeypatch: pytest.MonkeyPatch, seed: int | None = None, spread: float = 0.02
) -> Iterator[pytest.MonkeyPatch]:
    """The fakes on a scripted clock with the experiments of the tests; `fake` is noisy if there is a `seed`."""
    clock = TickingClock()
    with monkeypatch.context() as patch:
        made: Callable[..., Fake] = partial(Fake, clock=clock)
        if seed is not None:
            made = partial(NoisyFake, clock=clock, random=np.random.default_rng(seed), spread=spread)
        faster = registry.Entry(lambda options: Faster(options.seed, options.batch_size, FASTER_COSTS, clock=clock))
        patch.setitem(registry.FRAMEWORKS, Faster.name, replace(faster, is_scripted=True))
        patch.setattr(watched_steps, "Spans", partial(Spans, clock))
        for module in (run_command, isolated_process, watched_steps):
            patch.setattr(module, "Recorder", partial(Recorder, clock=clock))
        patch.setattr(fake, "Fake", made)
        patch.setattr(run_command, "read_machine", lambda count: QUIET_READING)
        patch.setattr(run_command, "mark_cost_ns", lambda: 100.0)
        patch.setattr(experiments, "__path__", [*experiments.__path__, str(ROOT / "tests" / "fake_experiments")])
        patch.setattr(experiment_command, "FreshProcesses", lambda allow_busy, show: InProcess())
        yield patch


def experiment(runs: Path, *words: str, costs: str = COSTS, steps: int = 48) -> int:
    """The exit status of the verb, on the fake."""
    common = ["--framework", "fake", *SIZE, "--steps", str(steps), "--quiet", "--fake-costs", costs]
    return main(["experiment", *words, *common, "--runs-dir", str(runs), "--out", str(runs / "report")])


def newest(runs: Path) -> Assessment:
    """The assessment of the newest session."""
    return load_assessment(max((runs / EXPERIMENTS).iterdir()))


def outcome(assessment: Assessment, name: str) -> Outcome:
    """A test of a session, or a control."""
    return next(o for o in (*assessment.controls, *assessment.outcomes) if o.forecast.name == name)

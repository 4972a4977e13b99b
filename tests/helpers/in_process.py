"""Rounds and drill-downs in this process, in place of processes of their own, on a scripted clock."""

import contextlib
import io
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from epoch_gap.profiler.commands import run as run_command
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared.rounds import Budget
from epoch_gap.profiler.commands.shared.sessions import alternating_order
from epoch_gap.profiler.drilldown import roofline
from epoch_gap.profiler.drilldown.spans import Spans
from epoch_gap.profiler.machine.environment import Environment, read_environment
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.workloads import watched_steps
from epoch_gap.workloads.adapters import fake
from epoch_gap.workloads.adapters.fake import Fake
from tests.helpers.clocks import TickingClock
from tests.helpers.experiments import NoisyFake
from tests.helpers.recorded import QUIET_READING

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass
class Rounds:
    """Takes the place of `run_rounds`: each process trains `steps` steps, one after the other."""

    script: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """further options of the sides, by interpreter"""
    steps: int = 8
    end_at: int = 0
    """the number of the call that ends with `status`; 0: none"""
    status: int = 0
    calls: int = 0

    def __call__(
        self,
        arguments: Mapping[str, Sequence[str]],
        budget: Budget,
        allow_busy: bool,
        show: Callable[[str], None],
        session: str = "",
        pythons: Mapping[str, str] = NOTHING,
    ) -> tuple[int, list[Path]]:
        self.calls += 1
        if self.calls == self.end_at:
            return self.status, []
        session = session or secrets.token_hex(4)
        paths: list[Path] = []
        for number in budget.rounds():
            names = alternating_order(list(arguments), number)[-len(arguments) :]
            place = ["--session", session, "--round", str(number), "--order", ",".join(names)]
            for turn, name in enumerate(names, start=1):
                more = self.script.get(pythons.get(name, ""), ())
                words = [*arguments[name], *place, "--turn", str(turn), "--steps", str(self.steps), *more]
                status, output = in_process("run", *words)
                if status:
                    return status, paths
                paths.append(Path(output.splitlines()[-1]))
        return 0, paths


def in_process(*words: str) -> tuple[int, str]:
    """The exit status of a verb, and what it printed."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = main(list(words))
    return status, output.getvalue()


def run_layers(python: str, words: Sequence[str]) -> tuple[int, str]:
    """Takes the place of the process that times the layers."""
    return in_process("layers", "--operators", *words)


@cache
def environment() -> Environment:
    """Read once for all runs of a test."""
    return read_environment()


def on_one_clock(monkeypatch: pytest.MonkeyPatch, seed: int | None = None, spread: float = 0.01) -> None:
    """Runs and drill-downs on the clock on which the fake works, with noise if there is a `seed`, and little else."""
    clock = TickingClock()
    made: Callable[..., Fake] = partial(Fake, clock=clock)
    if seed is not None:
        made = partial(NoisyFake, clock=clock, random=np.random.default_rng(seed), spread=spread)
    monkeypatch.setattr(fake, "Fake", made)
    for module in (run_command, watched_steps):
        monkeypatch.setattr(module, "Recorder", partial(Recorder, clock=clock))
    monkeypatch.setattr(watched_steps, "Spans", partial(Spans, clock))
    monkeypatch.setattr(run_command, "read_machine", lambda count: QUIET_READING)
    monkeypatch.setattr(run_command, "read_environment", environment)
    monkeypatch.setattr(run_command, "mark_cost_ns", lambda: 100.0)
    monkeypatch.setattr(roofline, "SIDE", 8)
    monkeypatch.setattr(roofline, "COPIED", 1_000)

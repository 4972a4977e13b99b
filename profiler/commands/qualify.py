"""Measure how often the gate is right on this machine: comparisons of a training with itself, slowed down or not."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from epoch_gap.profiler.commands.shared.options import (
    add_framework,
    add_workload,
    check_no_fixed_length,
    parse_delayable,
    parse_pairs,
    parse_percentage,
    parse_positive,
    workload_arguments,
)
from epoch_gap.profiler.commands.shared.printing import ProgressLine, warn
from epoch_gap.profiler.commands.shared.rounds import GATE_ROUNDS, Budget
from epoch_gap.profiler.commands.shared.run_selection import readable_noise_floors
from epoch_gap.profiler.commands.shared.sessions import EXPLAINED, run_rounds
from epoch_gap.profiler.comparison.gap import measure_gap
from epoch_gap.profiler.comparison.identity import machine_key
from epoch_gap.profiler.comparison.qualification import judge_trial
from epoch_gap.profiler.comparison.spread_history import applicable_floor
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor
from epoch_gap.profiler.storage.qualification_store import (
    Qualification,
    Trial,
    load_qualifications,
    save_qualification,
)
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.terminal.qualification import qualification_table
from epoch_gap.workloads.cifar10.load import resolve_source

FOLDER = "qualify"
"""folder inside the runs' directory, so that reports do not select these runs"""
COMPARISONS, MINUTES = 20, 120
SLOWDOWNS = (2.0, 5.0, 10.0)
"""percent"""
PLAIN, SLOWED = "plain", "slowed"
"""the sides of a comparison"""
NO_OP = "noop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_framework(parser, default="torch", help="default: torch")
    parser.add_argument(
        "--comparisons",
        type=parse_positive,
        default=COMPARISONS,
        metavar="N",
        help=f"of each slowdown, and as many without one (default: {COMPARISONS})",
    )
    parser.add_argument(
        "--slowdowns",
        type=_percentages,
        default=SLOWDOWNS,
        metavar="PERCENT,...",
        help=f"that are planted (default: {','.join(f'{percent:g}' for percent in SLOWDOWNS)})",
    )
    parser.add_argument(
        "--phase",
        type=parse_delayable,
        metavar="PHASE",
        help="where they are planted (default: forward; metrics if it is lazy, or has no forward of its own)",
    )
    parser.add_argument(
        "--repeats",
        type=parse_pairs,
        default=GATE_ROUNDS,
        metavar="N",
        help=f"rounds of each (default: {GATE_ROUNDS})",
    )
    parser.add_argument(
        "--minutes", type=parse_positive, default=MINUTES, metavar="N", help=f"of all together (default: {MINUTES})"
    )
    add_workload(parser)
    for option in ("--fake-costs", "--fake-overlap"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    parser.add_argument("--fake-lazy", action="store_true", help=argparse.SUPPRESS)


def _percentages(text: str) -> tuple[float, ...]:
    """Percentages above 0, each once, for argparse."""
    values = sorted({parse_percentage(part) for part in text.split(",")})
    if values[0] <= 0:
        raise argparse.ArgumentTypeError("a slowdown of 0 % is none; it is always measured, too")
    return tuple(values)


_percentages.__name__ = "list of percentages"


def execute(args: argparse.Namespace) -> int:
    """Compare in turn, store after every comparison, and print the rates. What was measured before Ctrl-C counts."""
    check_no_fixed_length(args)
    load_qualifications(args.runs_dir)  # report a damaged file before the work
    data, warning = resolve_source(args.data)
    if warning:
        warn(warning)
    slowdowns = [0.0, *(percent / 100 for percent in args.slowdowns)] * args.comparisons
    session = _Session(args, _words(args, data, warning or ""), len(slowdowns))
    status = 0
    for slowdown in slowdowns:
        if status := session.compare(slowdown):
            break
        save_qualification(args.runs_dir, session.machine, session.qualification)
    if session.trials:
        print(qualification_table(session.qualification, session.floor))
    return status


def _words(args: argparse.Namespace, data: str, warning: str) -> list[str]:
    """The options of both sides."""
    workload = workload_arguments(args, data=data, runs_dir=args.runs_dir / FOLDER, fence=args.fence or "none")
    words = ["--framework", args.framework, *workload, "--data-warning", warning]
    for option, value in (("--fake-costs", args.fake_costs), ("--fake-overlap", args.fake_overlap)):
        words += [option, value] if value else []
    return [*words, *(["--fake-lazy"] if args.fake_lazy else [])]


@dataclass
class _Session:
    """The comparisons of one command."""

    args: argparse.Namespace
    words: Sequence[str]
    """the options of both sides"""
    planned: int
    trials: list[Trial] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    """of the newest comparison: first the plain side"""
    steps: list[int] = field(default_factory=list)
    """training steps of every process"""
    day: str = ""

    def __post_init__(self) -> None:
        self._end = time.monotonic() + 60.0 * self.args.minutes

    def compare(self, slowdown: float) -> int:
        """One comparison; the first must be without a slowdown, as it tells how long an epoch takes.

        Returns the exit status. Raises UserError if a side fails.
        """
        dose = slowdown * self._plain.epoch.total.value / _epoch_steps(self._plain) if slowdown else 0.0
        switch = f"planted:{self._phase}={dose:.9f}" if slowdown else NO_OP
        sides = {PLAIN: self.words, SLOWED: [*self.words, "--switch", switch]}
        status, paths = self._run(sides, f"{100 * slowdown:g} %" if slowdown else "no-op")
        if status:
            return status
        runs = [read_run(path) for path in paths]
        self.runs = sorted(runs, key=lambda run: (bool(run.config.switches), run.id))
        plain, slowed = self._plain, Subject.from_runs(self.runs[len(runs) // 2 :])
        planted = dose * _epoch_steps(plain) / plain.epoch.total.value
        self.trials.append(judge_trial(measure_gap(slowed, plain), slowdown, planted))
        self.steps += [len(run.train) for run in runs]
        self.day = self.day or self.runs[0].manifest.created[:10]
        return 0

    def _run(self, sides: Mapping[str, Sequence[str]], name: str) -> tuple[int, Sequence[Path]]:
        """The rounds of one comparison, in an equal share of the time that is left."""
        done = len(self.trials)
        seconds = max(0.0, self._end - time.monotonic()) / (self.planned - done)
        progress = ProgressLine(sys.stderr, self.args.quiet)
        status, paths = run_rounds(
            sides,
            Budget(seconds, self.args.repeats),
            self.args.allow_busy,
            lambda text: progress(f"[{done + 1}/{self.planned}] {name}: {text}"),
        )
        progress.close()
        if status and status not in EXPLAINED:
            raise UserError(f"a process ended with status {status}; the comparisons before it are stored")
        return status, paths

    @property
    def _plain(self) -> Subject:
        """The plain side of the newest comparison."""
        return Subject.from_runs(self.runs[: len(self.runs) // 2])

    @property
    def _phase(self) -> Phase:
        """Where a wait is on the critical path: nothing overlaps with `metrics`, which reads the loss."""
        phases = self.runs[0].framework.phases
        has_own_forward = Phase.FORWARD in phases and Phase.FLUSH not in phases
        return self.args.phase or (Phase.FORWARD if has_own_forward else Phase.METRICS)

    @property
    def machine(self) -> str:
        """The machine's key."""
        return machine_key(self.runs[0].manifest)

    @property
    def floor(self) -> NoiseFloor | None:
        """The noise floor of the workload on this machine."""
        return applicable_floor(readable_noise_floors(self.args.runs_dir), self.runs)

    @property
    def qualification(self) -> Qualification:
        """The comparisons so far."""
        run = self.runs[0]
        return Qualification(
            framework=run.config.framework,
            version=run.framework.exact_version,
            device=run.framework.device,
            batch_size=run.batch_size,
            data=run.manifest.data.kind,
            keeps_memory=run.manifest.keeps_memory,
            model=run.config.network.model,
            image_size=run.config.network.image_size,
            phase=self._phase,
            rounds=self.args.repeats,
            steps=round(median(self.steps)),
            day=self.day,
            trials=tuple(self.trials),
        )


def _epoch_steps(plain: Subject) -> float:
    """Training steps of an epoch, with the last partial one as its share."""
    return plain.size.train_images / plain.config.batch_size

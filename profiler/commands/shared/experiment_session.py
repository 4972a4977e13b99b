"""A session of experiments: gather the evidence, store the predictions, measure the controls, then the tests."""

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from epoch_gap.profiler.analysis.run_analysis import RunAnalysis, analyse_run
from epoch_gap.profiler.analysis.stats import Estimate, mean
from epoch_gap.profiler.command_name import command_name
from epoch_gap.profiler.commands.shared.exit_status import INTERRUPTED, TERMINATED
from epoch_gap.profiler.commands.shared.experiment_plan import (
    Planner,
    check_combination,
    choose_combinations,
    choose_experiments,
    drilldowns_used,
    frameworks_needed,
    variants_needed,
)
from epoch_gap.profiler.commands.shared.experiment_processes import Processes
from epoch_gap.profiler.commands.shared.options import architecture_of, network_of, workload_arguments
from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.commands.shared.run_selection import newest_repeats, readable_noise_floors
from epoch_gap.profiler.comparison.identity import comparison_key, machine_key
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.loading import load_drilldowns
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.arms import BLOCK
from epoch_gap.profiler.experiments.assessment import load_assessment
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.level_times import LEAST_GROUPS
from epoch_gap.profiler.experiments.session import Forecast, Result, Session, store_estimate
from epoch_gap.profiler.experiments.session_store import add_result, create_session
from epoch_gap.profiler.experiments.stored_evidence import find_operators, gather_evidence
from epoch_gap.profiler.machine.allocator import Allocator, can_keep
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.manifest import DataKind, Manifest
from epoch_gap.profiler.storage.run import Run
from epoch_gap.workloads import registry
from epoch_gap.workloads.presets import PRESETS

OFF, ON = "off", "on"
"""the sides of a comparison between fresh processes"""
BASELINE_SECONDS = 120
"""of a stored run that the predictions need and that is not there"""
MOST_EXTENSIONS = 2
"""times that an undecided control is measured again"""
MOST_FURTHER = 4
"""times the steps of a test: a control that needs more is left undecided"""
MARGIN = 1.25
"""on the forecast of further steps, which is uncertain itself"""
TEST_BATCHES = 0.2
"""per training step, where the evaluation may change: as in an epoch. Elsewhere there is one, which is not used"""


@dataclass(frozen=True)
class Side:
    """What is stored about a framework under the command's conditions."""

    framework: str
    analyses: tuple[RunAnalysis, ...]

    @property
    def first(self) -> Run:
        """The run whose conditions represent the side's."""
        return self.analyses[0].run


@dataclass
class ExperimentSession:
    """The experiments of one command; `args` are its options."""

    args: argparse.Namespace
    modules: Mapping[str, ModuleType]
    """of all experiments, by name"""
    processes: Processes
    show: Callable[[str], None] = lambda text: None

    def check_names(self) -> list[Experiment]:
        """The experiments that the command names. Raises UserError for a name that is none of the side."""
        args, architecture = self.args, architecture_of(self.args)
        experiments = choose_experiments(args.names, self.modules, args.framework, args.device, architecture)
        choose_combinations(args.names, experiments, all_of_them=False)
        if args.together:
            check_combination(experiments)
        return experiments

    def execute(self) -> tuple[int, Path]:
        """Predict, store, and measure. Returns the exit status and the session's folder.

        A failed test is stored as such, and the others follow. Ctrl-C and SIGTERM end the session, and so do controls
        that are not found right: nothing else would be reported.
        """
        session = self._predict(self.check_names())
        folder, session = create_session(self.args.runs_dir, session)
        for number, forecast in enumerate(session.forecasts, start=1):
            self.show(f"[{number}/{len(session.forecasts)}] {forecast.name}")
            status, result = self._measure(folder, session, forecast)
            session = add_result(folder, session, result)
            if forecast.is_control and not status:
                status, session = self._extend(folder, session, forecast)
            if status in (INTERRUPTED, TERMINATED):
                return status, folder
            if _controls_are_done(session) and (reason := load_assessment(folder).withheld) is not None:
                self.show(f"the session ends here, because {reason}")
                break
        return 0, folder

    def _extend(self, folder: Path, session: Session, forecast: Forecast) -> tuple[int, Session]:
        """Measure an undecided control for the further steps that would decide it, and judge it on all its steps.

        A session that ended there would have spent its time for nothing. Claims are never extended: a test that goes
        on until it is decided finds more than there is. A control has a known answer, which does not depend on that.
        """
        for _ in range(MOST_EXTENSIONS):
            controls = {outcome.forecast.name: outcome for outcome in load_assessment(folder).controls}
            judgement = controls[forecast.name].judgement
            more = judgement.more_steps if judgement is not None else None
            if more is None or more > MOST_FURTHER * self._steps(session):
                break
            self.show(f"{forecast.name} is undecided; about {more} more steps")
            steps = math.ceil(MARGIN * more) + 2 * BLOCK
            status, further = self._measure(folder, session, forecast, steps)
            before = session.result(forecast.name)
            runs = (*(before.runs if before else ()), *further.runs)
            if status or not further.runs:
                return status, session
            session = add_result(folder, session, replace(further, runs=runs))
        return 0, session

    def _predict(self, experiments: Sequence[Experiment]) -> Session:
        sets = choose_combinations(self.args.names, experiments, all_of_them=self.args.together)
        needed = frameworks_needed(experiments, self.args.framework)
        sides = {name: self._side(name) for name in dict.fromkeys((self.args.framework, *needed))}
        own = sides[self.args.framework]
        runs = [analysis.run for side in sides.values() for analysis in side.analyses]
        operators = self._operators([*sides.values()]) if needed else {}
        isolated = {name: self._ratio(name) for name in variants_needed(experiments)}
        analyses = {name: side.analyses for name, side in sides.items()}
        evidence = gather_evidence(analyses, own.framework, operators)
        epoch_steps = own.first.manifest.full_epoch.train_images / own.first.batch_size
        planner = Planner(evidence, isolated, epoch_steps, self.args.phase, self._options_of_wait())
        subject = Subject.from_analyses(own.analyses)
        floors = readable_noise_floors(self.args.runs_dir).get(machine_key(subject.manifest), {})
        floor = floors.get(comparison_key(subject.manifest))
        return Session(
            framework=own.framework,
            title=subject.title,
            device=subject.framework.device,
            batch_size=own.first.batch_size,
            model=own.first.config.network.model,
            image_size=own.first.config.network.image_size,
            epoch_steps=epoch_steps,
            epoch=store_estimate(subject.epoch.total),
            floor=None if floor is None else floor.share,
            baseline=tuple(run.id for run in runs),
            drilldowns=drilldowns_used(experiments, own.framework, operators),
            isolated={name: store_estimate(ratio) for name, ratio in isolated.items()},
            forecasts=(*planner.controls(self.modules), *planner.tests(experiments, sets)),
        )

    def _options_of_wait(self) -> dict[str, str]:
        """Memory is kept where it can be: given back, it costs more to get again after a wait."""
        is_kept = self.args.allocator is Allocator.KEEP or registry.is_scripted(self.args.framework)
        return {} if is_kept or not can_keep() else {"allocator": str(Allocator.KEEP)}

    def _side(self, framework: str) -> Side:
        """The newest stored runs of a framework, or a new one if there are none."""
        runs = newest_repeats(self.args.runs_dir, lambda manifest: self._fits(manifest, framework))
        if not runs:
            self.show(f"{framework}: no stored run to predict from; training one")
            status, path = self.processes.run(self._run_words(framework, seconds=BASELINE_SECONDS))
            runs = newest_repeats(self.args.runs_dir, lambda manifest: self._fits(manifest, framework))
            if status or path is None or not runs:
                command = f"{command_name()} profile --frameworks {framework}"
                raise UserError(f"no run of {framework} to predict from; run `{command}`")
        return Side(framework, tuple(analyse_run(run) for run in runs))

    def _fits(self, manifest: Manifest, framework: str) -> bool:
        """Whether a stored run is one of this framework under the command's conditions."""
        args, config = self.args, manifest.config
        kinds = {"synthetic": [DataKind.SYNTHETIC], "auto": [DataKind.CIFAR10, DataKind.SYNTHETIC]}
        return (
            config.framework == framework
            and not config.label
            and bool(config.compile) == args.compile
            and not config.switches
            and config.alternate is None
            and config.batch_size == (args.batch_size or PRESETS[args.preset].batch_size)
            and config.network == network_of(args)
            and manifest.framework.device in (args.device, manifest.framework.device if args.device == "auto" else "")
            and manifest.keeps_memory == (args.allocator is Allocator.KEEP)
            and manifest.data.kind in kinds.get(args.data, [DataKind.CIFAR10])
        )

    def _operators(self, sides: Sequence[Side]) -> dict[str, Drilldown]:
        """The operator times of the sides, by framework; they are measured where none are stored."""
        for side in sides:
            if not self._stored_operators([side]):
                self.show(f"{side.framework}: timing the operators")
                words = ["layers", "--operators", *self._words(side.framework, steps=None, seconds=None)]
                if self.processes.drill_down(words):
                    warn(f"the operators of {side.framework} could not be timed")
        return self._stored_operators(sides)

    def _stored_operators(self, sides: Sequence[Side]) -> dict[str, Drilldown]:
        found = load_drilldowns([side.first for side in sides], self.args.runs_dir, warn)
        stored = [*found.operators, *found.layers]
        chosen = {side.framework: find_operators(side.analyses, stored) for side in sides}
        return {name: drilldown for name, drilldown in chosen.items() if drilldown is not None}

    def _ratio(self, name: str) -> Estimate:
        self.show(f"{name}: timing its two variants in isolation")
        return mean(np.array(self.processes.ratios([name, *self._words(self.args.framework)])))

    def _words(self, framework: str, **changes: Any) -> list[str]:
        words = ["--framework", framework, *workload_arguments(self.args, quiet=True, **changes)]
        return [*words, *(["--fake-costs", self.args.fake_costs] if self.args.fake_costs else [])]

    def _run_words(self, framework: str, **changes: Any) -> list[str]:
        """Of the verb `run`, which can also script how the fake's work is deferred."""
        overlap = ["--fake-overlap", self.args.fake_overlap] if self.args.fake_overlap else []
        return [*self._words(framework, **changes), *(["--fake-lazy"] if self.args.fake_lazy else []), *overlap]

    def _seconds(self, session: Session) -> float:
        """The time of one test."""
        return float(60 * self.args.minutes) / len(session.forecasts)

    def _steps(self, session: Session) -> int:
        """The training steps of one test whose interventions alternate."""
        return self.args.steps or min(
            int(self._seconds(session) / seconds_of_step(session)), int(session.epoch_steps)
        )

    def _measure(
        self, folder: Path, session: Session, forecast: Forecast, steps: int | None = None
    ) -> tuple[int, Result]:
        """`steps`: how many, if interventions alternate; by default those that the test's time allows."""
        if forecast.alternates:
            words = self._alternating_words(folder, session, forecast, steps or self._steps(session))
            status, path = self.processes.run(words)
            paths = [path] if path is not None else []
        else:
            words = self._run_words(session.framework, runs_dir=folder, steps=None, seconds=None)
            switches = [word for switch in forecast.switches for word in ("--switch", switch)]
            sides = {OFF: words, ON: [*words, *switches, *_option_words(forecast)]}
            status, paths = self.processes.rounds(sides, self._seconds(session), session.seal)
            paths = _off_before_on(paths)
        problem = f"its process ended with status {status}" if status else ""
        return status, Result(name=forecast.name, runs=tuple(path.name for path in paths), problem=problem)

    def _alternating_words(self, folder: Path, session: Session, forecast: Forecast, steps: int) -> Sequence[str]:
        levels = [(switch,) for switch in forecast.switches] if forecast.delays else [forecast.switches]
        size = BLOCK * (len(levels) + 1)
        groups = max(LEAST_GROUPS, steps // size)
        changes = {"runs_dir": folder, "steps": groups * size, "seconds": None, "fence": "none", "epochs": 1}
        alternate = [word for level in levels for word in ("--alternate", ",".join(level))]
        batches = 1
        if Phase.EVALUATE in forecast.changing_phases:
            batches = size * max(LEAST_GROUPS, round(TEST_BATCHES * groups))
            alternate.append("--alternate-evaluation")
        words = self._run_words(session.framework, **changes, test_limit=batches * session.batch_size)
        return [*words, *_option_words(forecast), *alternate, "--session", session.seal]


def seconds_of_step(session: Session) -> float:
    """About the seconds of a training step, from those of the epoch."""
    return (session.epoch["value"] or 0.0) / session.epoch_steps


def _option_words(forecast: Forecast) -> list[str]:
    return [word for name, value in forecast.options.items() for word in (f"--{name}", value) if word]


def _controls_are_done(session: Session) -> bool:
    """Whether the newest result is that of the last control."""
    controls = [forecast.name for forecast in session.forecasts if forecast.is_control]
    return len(session.results) == len(controls)


def _off_before_on(paths: Sequence[Path]) -> list[Path]:
    """The runs of rounds that were taken as A B B A, as A B A B."""
    pairs = zip(paths[::2], paths[1::2], strict=False)
    return [path for number, pair in enumerate(pairs) for path in (pair if number % 2 == 0 else pair[::-1])]

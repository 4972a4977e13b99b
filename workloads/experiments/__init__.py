"""Experiments: one module each, with the claim as data (`EXPERIMENT`) and the intervention that tests it.

A module of this package is found by its name; adding one needs no edit elsewhere. It has `EXPERIMENT`, and:

| name | meaning |
|---|---|
| `apply(workload, dose)` | turns the intervention on, and returns its undo |
| `environment(dose)` | variables that must be set before the process starts, in place of `apply` |
| `DOSE` | the default dose, if the intervention has doses |
| `DOSES` | the whole numbers that are doses, if others are not |
| `with_dose(dose)` | the `EXPERIMENT` with another dose, if its prediction depends on it |
| `PHASE` | the default phase, if the intervention acts on a phase |
| `check(framework, dose)` | raises UserError if the intervention cannot work or has no effect in this process |
| `describe(framework)` | conditions of the framework that the intervention changes |
| `CLOCKS` | descriptions of clocks that it changes |
"""

import os
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from types import ModuleType
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.intervention import Undo, Workload, check_delayable, undo_all

__all__ = [
    "Workload",
    "apply_switches",
    "check_switches",
    "describe_switch_clocks",
    "describe_switches",
    "environment_of_switches",
    "experiment_with_dose",
    "find_experiments",
    "switches_of_evaluation",
    "switches_of_sides",
]


def find_experiments() -> Mapping[str, ModuleType]:
    """The module of every experiment, by name."""
    return {name: _load(name) for name in _names()}


def experiment_with_dose(text: str) -> Experiment:
    """The experiment that `NAME=DOSE` names. Raises UserError for a dose that it does not predict."""
    switch = _parse(text, option="")
    with_dose = switch.optional("with_dose", None)
    if with_dose is None:
        raise UserError(f"{text}: {switch.experiment.name} chooses its dose by itself")
    experiment: Experiment = with_dose(switch.dose)
    return experiment


def _names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def _load(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")


@dataclass(frozen=True)
class _Switch:
    """An experiment that is turned on, as `NAME`, `NAME=DOSE` or `NAME:PHASE=DOSE` names it."""

    module: ModuleType
    dose: float
    phase: Phase | None

    @property
    def experiment(self) -> Experiment:
        experiment: Experiment = self.module.EXPERIMENT
        return experiment

    @property
    def environment(self) -> Mapping[str, str]:
        variables: Mapping[str, str] = self.optional("environment", lambda dose: {})(self.dose)
        return variables

    def optional(self, name: str, default: Any) -> Any:
        return getattr(self.module, name, default)


def _parse(text: str, option: str = "--switch ") -> _Switch:
    """Raises UserError for an unknown experiment, and for a dose or phase that it does not take."""
    target, _, dose = text.partition("=")
    name, _, phase = target.partition(":")
    if name not in _names():
        raise UserError(f"{option}{text}: no such experiment; choose one of: {', '.join(_names())}")
    module = _load(name)
    for given, attribute, kind in ((dose, "DOSE", "dose"), (phase, "PHASE", "phase")):
        if given and not hasattr(module, attribute):
            raise UserError(f"{option}{text}: {name} takes no {kind}")
    try:
        value = float(dose or getattr(module, "DOSE", 1.0))
        chosen = Phase(phase) if phase else getattr(module, "PHASE", None)
    except ValueError:
        raise UserError(f"{option}{text} is not NAME, NAME=DOSE or NAME:PHASE=DOSE") from None
    whole: range | None = getattr(module, "DOSES", None)
    if whole is not None and value not in whole:
        raise UserError(f"{option}{text}: a dose must be a whole number from {whole[0]} to {whole[-1]}")
    if whole is None and not 0 <= value <= MOST:
        raise UserError(f"{option}{text}: a dose must be between 0 and {MOST}")
    return _Switch(module, value, chosen)


MOST = 60
"""the largest dose, unless doses are whole numbers: a wait of so many seconds in each step"""


def environment_of_switches(names: Sequence[str]) -> dict[str, str]:
    """The variables with which a process must start to have these switches on; empty if it may be any process.

    Raises UserError if the environment contradicts them.
    """
    needed: dict[str, str] = {}
    for name, switch in zip(names, map(_parse, names), strict=True):
        for variable, value in switch.environment.items():
            found = needed.setdefault(variable, os.environ.get(variable, value))
            if found != value:
                raise UserError(f"--switch {name} needs {variable}={value}, but it is {found}; unset it")
    return needed


def check_switches(names: Sequence[str], framework: Framework) -> None:
    """Raise UserError if a switch is unknown or named twice, or if it cannot be turned on in this training."""
    for name, switch in _parse_all(names).items():
        _check(name, switch, framework)


def switches_of_sides(
    names: Sequence[str], frameworks: Sequence[str], device: str, architecture: Architecture
) -> dict[str, list[str]]:
    """The switches that each framework can have on a device, as far as that is known before a framework is built.

    Raises UserError for a switch that is unknown or named twice, or that none of the frameworks can have.
    """
    sides: dict[str, list[str]] = {framework: [] for framework in frameworks}
    for name, switch in _parse_all(names).items():
        reasons = {framework: _why_not(switch.experiment, framework, device, architecture) for framework in sides}
        if None not in reasons.values():
            raise UserError(f"--switch {name}: {', and '.join(dict.fromkeys(filter(None, reasons.values())))}")
        for framework, reason in reasons.items():
            if reason is None:
                sides[framework].append(name)
    return sides


def _parse_all(names: Sequence[str]) -> dict[str, _Switch]:
    """The switches by name. Raises UserError as `_parse` does, and for two of one experiment."""
    switches = [_parse(name) for name in names]
    for name, switch in zip(names, switches, strict=True):
        if sum(other.module is switch.module for other in switches) > 1:
            raise UserError(f"--switch {name}: {switch.experiment.name} is named twice")
    return dict(zip(names, switches, strict=True))


def _why_not(experiment: Experiment, framework: str, device: str, architecture: Architecture) -> str | None:
    """Why an experiment is no switch of a framework on a device (`auto`: not known yet) for a network."""
    if experiment.options:
        words = " ".join(f"--{option} {value}".strip() for option, value in experiment.options.items())
        return f"it is the option {words}; use that"
    if experiment.frameworks and framework not in experiment.frameworks:
        return f"not for {framework}; for: {', '.join(experiment.frameworks)}"
    if experiment.devices and device not in (*experiment.devices, "auto"):
        return f"not for the device {device}; for: {', '.join(experiment.devices)}"
    if experiment.needs and experiment.needs not in architecture.kinds():
        return f"{architecture.title} has no {experiment.needs}"
    return None


def _check(name: str, switch: _Switch, framework: Framework) -> None:
    if reason := _why_not(switch.experiment, framework.name, framework.device, framework.architecture):
        raise UserError(f"--switch {name}: {reason}")
    try:
        if switch.phase is not None:
            check_delayable(switch.phase, framework)
        switch.optional("check", lambda framework, dose: None)(framework, switch.dose)
    except UserError as error:
        raise UserError(f"--switch {name}: {error}") from None


def switches_of_evaluation(names: Sequence[str]) -> tuple[str, ...]:
    """Those of the switches that change an evaluation, too; the others act on training steps only."""
    return tuple(name for name in names if Phase.EVALUATE in _parse(name).experiment.may_change)


def describe_switches(names: Sequence[str], framework: Framework) -> dict[str, Any]:
    """What the switches change in the conditions that a framework describes."""
    changes: dict[str, Any] = {}
    for switch in map(_parse, names):
        changes |= switch.optional("describe", lambda framework: {})(framework)
    return changes


def describe_switch_clocks(names: Sequence[str], framework: Framework) -> dict[Phase, str]:
    """What the switches change in the clocks that a framework describes."""
    changes: dict[Phase, str] = {}
    for switch in map(_parse, names):
        changes |= switch.optional("CLOCKS", {})
    return {phase: text for phase, text in changes.items() if phase in framework.phases}


def apply_switches(names: Sequence[str], workload: Workload) -> Undo:
    """Turn switches on, in this order, between two steps of the training; the undo turns them all off.

    Raises UserError as `check_switches` does, and leaves none on then.
    """
    check_switches(names, workload.framework)
    undos: list[Undo] = []
    try:
        for switch in map(_parse, names):
            apply = switch.optional("apply", lambda workload, dose: lambda: None)
            undos.append(apply(replace(workload, phase=switch.phase), switch.dose))
    except BaseException:
        undo_all(undos)()
        raise
    return undo_all(undos)

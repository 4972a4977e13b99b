"""The article's fourth guess: the learning-rate schedule of the other side."""

from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.intervention import Undo
from epoch_gap.workloads.optimizer import LUCID_SCHEDULE, TORCH_SCHEDULE, StepLR

EXPERIMENT = Experiment(
    name="other_schedule",
    claim="The plateau of the losses comes from the schedule: with the other side's, the plateau goes.",
    guess=4,
    may_change=(),
    prediction=None,
    keeps=None,
    alternates=False,
)


def _other(framework: Framework) -> StepLR:
    """The schedule of the two that the framework does not follow."""
    both = (LUCID_SCHEDULE, TORCH_SCHEDULE)
    return next(schedule for schedule in both if schedule != framework.schedule)


def describe(framework: Framework) -> dict[str, Any]:
    """The schedule."""
    return {"schedule": str(_other(framework))}


def apply(workload: Workload, dose: float) -> Undo:
    """Follow it from the first epoch on."""
    framework, before = workload.framework, workload.framework.schedule
    framework.use_schedule(_other(framework))
    return lambda: framework.use_schedule(before)

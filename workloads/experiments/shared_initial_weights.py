"""The article's fifth guess: the same initial weights on both sides."""

from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.initial_weights import INITIALISATION, draw_weights
from epoch_gap.workloads.intervention import Undo

EXPERIMENT = Experiment(
    name="shared_initial_weights",
    claim="The first losses jump because of the initialisation: from the same weights, both sides start alike.",
    guess=5,
    may_change=(),
    prediction=None,
    keeps=None,
    alternates=False,
)


def describe(framework: Framework) -> dict[str, Any]:
    """The initialisation."""
    return {"initialisation": INITIALISATION}


def apply(workload: Workload, dose: float) -> Undo:
    """Draw them from the seed, and set them."""
    framework, before = workload.framework, workload.framework.read_weights()
    framework.set_weights(draw_weights(framework.architecture, workload.seed))
    return lambda: framework.set_weights(before)

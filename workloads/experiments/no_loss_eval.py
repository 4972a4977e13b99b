"""The article's second guess: `loss.eval()` is dropped."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Move
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.intervention import Undo, check_phase, replace_attribute

EXPERIMENT = Experiment(
    name="no_loss_eval",
    claim="Without loss.eval() the step takes as long: the next wait computes the loss.",
    guess=2,
    frameworks=("lucid", "mlx", "fake"),
    may_change=(Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP, Phase.METRICS),
    prediction=Move(Phase.MATERIALIZE, Phase.STEP),
    keeps=0.0,
)
CLOCKS = {Phase.MATERIALIZE: "nothing: loss.eval() is dropped"}


def check(framework: Framework, dose: float) -> None:
    """Refuse a framework that never calls it."""
    check_phase(Phase.MATERIALIZE, framework)


def apply(workload: Workload, dose: float) -> Undo:
    """Leave the loss to the next wait."""
    return replace_attribute(workload.framework, "materialize", lambda loss: None)

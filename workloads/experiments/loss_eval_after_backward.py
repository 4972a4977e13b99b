"""The article's second guess: `loss.eval()` comes after `backward`."""

from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Move
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.intervention import Undo, check_phase, replace_attribute, undo_all

EXPERIMENT = Experiment(
    name="loss_eval_after_backward",
    claim="After backward, loss.eval() takes the time that it takes before it.",
    guess=2,
    frameworks=("lucid", "mlx", "fake"),
    may_change=(Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP),
    prediction=Move(Phase.MATERIALIZE, Phase.BACKWARD),
    keeps=0.0,
)
CLOCKS = {
    Phase.MATERIALIZE: "nothing: loss.eval() comes after backward",
    Phase.BACKWARD: "the gradients, then loss.eval()",
}


def check(framework: Framework, dose: float) -> None:
    """Refuse a framework that never calls it."""
    check_phase(Phase.MATERIALIZE, framework)


def apply(workload: Workload, dose: float) -> Undo:
    """Compute the loss at the end of `backward`."""
    framework = workload.framework
    materialize, backward = framework.materialize, framework.backward

    def backward_then_materialize(loss: Any) -> None:
        backward(loss)
        materialize(loss)

    return undo_all(
        [
            replace_attribute(framework, "materialize", lambda loss: None),
            replace_attribute(framework, "backward", backward_then_materialize),
        ]
    )

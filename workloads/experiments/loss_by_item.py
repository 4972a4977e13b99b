"""The article's sixth guess: Lucid reads the loss by `.item()`, as PyTorch does."""

from collections.abc import Callable
from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Null
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, replace_in_training

EXPERIMENT = Experiment(
    name="loss_by_item",
    claim="Reading the loss by float(loss.data) gives another number, or takes longer, than .item().",
    guess=6,
    frameworks=("lucid",),
    may_change=(Phase.METRICS,),
    prediction=Null(),
    keeps=0.0,
)
CLOCKS = {Phase.METRICS: "argmax, ==, sum, int() of the right answers; loss.item() twice"}


def apply(workload: Workload, dose: float) -> Undo:
    """Read both numbers of the loss by `.item()`."""
    import lucid

    def by_item(metrics: Callable[..., Any]) -> Callable[..., Any]:
        def read(logits: Any, loss: Any, targets: Any) -> tuple[float, float, int, int]:
            with lucid.no_grad():
                correct = int((lucid.argmax(logits, axis=1) == targets).sum().data)
            return loss.item(), loss.item() * targets.size, correct, targets.size

        return read

    return replace_in_training(workload.framework, workload.framework, "metrics", by_item)

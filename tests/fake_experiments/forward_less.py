"""The scripted fake's forward in 0.6 of the time."""

from collections.abc import Callable
from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Ratio
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, scale_script

EXPERIMENT = Experiment(
    name="forward_less",
    claim="Forward is slow because it computes what nobody reads.",
    guess=2,
    frameworks=("fake",),
    may_change=(Phase.FORWARD,),
    prediction=Ratio((Phase.FORWARD,), isolated="variants"),
    keeps=0.0,
)


def apply(workload: Workload, dose: float) -> Undo:
    return scale_script(workload.framework, {Phase.FORWARD: 0.6})


def variants(framework: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    def less() -> None:
        undo = scale_script(framework, {Phase.FORWARD: 0.6})
        framework.spend(Phase.FORWARD)
        undo()

    return lambda: framework.spend(Phase.FORWARD), less

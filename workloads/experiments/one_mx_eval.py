"""The article's second guess: Adam's step computes all parameters by one `mx.eval`, not each by its own."""

from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Null
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, replace_attribute, undo_all

EXPERIMENT = Experiment(
    name="one_mx_eval",
    claim="Computing each parameter by an mx.eval of its own takes no longer than one mx.eval of all.",
    guess=2,
    frameworks=("lucid",),
    devices=("gpu",),
    may_change=(Phase.STEP,),
    prediction=Null(),
    keeps=1e-5,
)
CLOCKS = {Phase.STEP: "Adam.step(), then one mx.eval of parameters, gradients and state"}


def apply(workload: Workload, dose: float) -> Undo:
    """Collect what Adam asks to be computed, and compute it at the end of the step."""
    import lucid.optim.adam
    import mlx.core as mx

    framework, step = workload.framework, workload.framework.step
    asked: list[Any] = []

    def collect(parameter: Any, state: Any = None) -> None:
        asked.extend((parameter.data, parameter.grad, *(state or {}).values()))

    def step_and_evaluate() -> None:
        step()
        mx.eval([array for array in asked if isinstance(array, mx.array)])
        asked.clear()

    return undo_all(
        [
            replace_attribute(lucid.optim.adam, "post_step_eval", collect),
            replace_attribute(framework, "step", step_and_evaluate),
        ]
    )

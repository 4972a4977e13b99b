"""The scripted fake's forward in half the time, after which it never again is as short as it was before."""

from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Null
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, replace_attribute

EXPERIMENT = Experiment(
    name="lasting",
    claim="Forward leaves something behind.",
    frameworks=("fake",),
    may_change=(Phase.FORWARD,),
    prediction=Null(),
    keeps=0.0,
)
AFTERWARDS = 1.4


def apply(workload: Workload, dose: float) -> Undo:
    framework: Any = workload.framework
    before = dict(framework.costs)
    replace_attribute(framework, "costs", {**before, Phase.FORWARD: 5.0})
    return lambda: framework.__setattr__("costs", {**before, Phase.FORWARD: 10.0 * AFTERWARDS})

"""A claim that is wrong: it says that the step gets shorter, but backward gets longer."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Remove
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, scale_script

EXPERIMENT = Experiment(
    name="longer_step",
    claim="The optimizer's step is unnecessary.",
    frameworks=("fake",),
    may_change=(Phase.STEP,),
    prediction=Remove(Phase.STEP),
    keeps=0.0,
)


def apply(workload: Workload, dose: float) -> Undo:
    return scale_script(workload.framework, {Phase.BACKWARD: 1.2})

"""The scripted fake without its backward, in a claim that is wrong where the work overlaps with other work."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Remove
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, scale_script

EXPERIMENT = Experiment(
    name="no_backward",
    claim="Backward takes the time that its phase takes.",
    frameworks=("fake",),
    may_change=(Phase.BACKWARD, Phase.STEP),
    prediction=Remove(Phase.BACKWARD),
    keeps=0.0,
)


def apply(workload: Workload, dose: float) -> Undo:
    return scale_script(workload.framework, {Phase.BACKWARD: 0.0})

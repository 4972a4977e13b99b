"""The scripted fake with the layers of the faster one."""

from epoch_gap.profiler.drilldown.spans import OperatorCategory
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Substitute
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, scale_script

EXPERIMENT = Experiment(
    name="faster_operators",
    claim="The fake is slow because its layers are slower than the faster one's.",
    frameworks=("fake",),
    may_change=(Phase.FORWARD, Phase.BACKWARD, Phase.EVALUATE),
    prediction=Substitute(OperatorCategory.LINEAR, (Phase.FORWARD, Phase.BACKWARD, Phase.EVALUATE), by="faster"),
    keeps=0.0,
)


def apply(workload: Workload, dose: float) -> Undo:
    return scale_script(workload.framework, {Phase.FORWARD: 0.4, Phase.BACKWARD: 0.5, Phase.EVALUATE: 0.4})

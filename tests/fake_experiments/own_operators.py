"""A substitution of the scripted fake's operators by its own."""

from epoch_gap.profiler.drilldown.spans import OperatorCategory
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Substitute
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo

EXPERIMENT = Experiment(
    name="own_operators",
    claim="The fake's convolution is as slow as its own.",
    frameworks=("fake",),
    may_change=(Phase.FORWARD, Phase.BACKWARD),
    prediction=Substitute(OperatorCategory.CONVOLUTION, (Phase.FORWARD, Phase.BACKWARD), by="fake"),
    keeps=0.0,
)


def apply(workload: Workload, dose: float) -> Undo:
    return lambda: None

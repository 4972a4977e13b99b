"""A control: nothing is changed."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Null
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo

EXPERIMENT = Experiment(
    name="noop",
    claim="Turning on a switch that does nothing changes nothing.",
    may_change=(),
    prediction=Null(),
    keeps=0.0,
    is_control=True,
)


def apply(workload: Workload, dose: float) -> Undo:
    """Change nothing."""
    return lambda: None

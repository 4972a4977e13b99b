"""The scripted fake's step in half the time, in a process of its own."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Null
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, scale_script

EXPERIMENT = Experiment(
    name="fresh_process",
    claim="A fresh process is as slow.",
    frameworks=("fake",),
    may_change=(Phase.STEP,),
    prediction=Null(),
    keeps=0.0,
    alternates=False,
)


def apply(workload: Workload, dose: float) -> Undo:
    return scale_script(workload.framework, {Phase.STEP: 0.5})

"""A control: a slowdown of known size, by a busy wait in one phase."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Delay
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.intervention import delay_phase

DOSE = 0.05
"""seconds"""
PHASE = Phase.FORWARD

EXPERIMENT = Experiment(
    name="planted",
    claim="A busy wait in a phase makes that phase longer by the wait, and nothing else.",
    may_change=(PHASE,),
    prediction=Delay(PHASE, DOSE),
    keeps=0.0,
    is_control=True,
)


apply = delay_phase

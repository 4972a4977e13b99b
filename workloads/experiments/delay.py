"""Dose-response: busy waits in one phase. The slope is how much of the phase is on the critical path."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Delay
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.intervention import delay_phase

DOSE = 0.02
"""seconds"""
PHASE = Phase.FORWARD

EXPERIMENT = Experiment(
    name="delay",
    claim="A second more in this phase makes the step a second longer: nothing overlaps with the phase.",
    may_change=(PHASE,),
    prediction=Delay(PHASE, DOSE),
    keeps=0.0,
)


apply = delay_phase

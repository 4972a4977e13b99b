"""Freed memory is kept by the C library, which is an option of `run`."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import SystemTime
from epoch_gap.profiler.phases import Phase

EXPERIMENT = Experiment(
    name="kept_memory",
    claim="Memory that is given back and asked for again costs the operating system's time of each step.",
    may_change=tuple(Phase),
    prediction=SystemTime(),
    keeps=0.0,
    alternates=False,
    options={"allocator": "keep"},
)

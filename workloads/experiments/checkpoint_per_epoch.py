"""The article's third guess: a checkpoint after every epoch, which is an option of `run`."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Null
from epoch_gap.profiler.phases import Phase

EXPERIMENT = Experiment(
    name="checkpoint_per_epoch",
    claim="A checkpoint per epoch takes time of its own phase only, and none of the steps.",
    guess=3,
    may_change=(Phase.CHECKPOINT,),
    prediction=Null(),
    keeps=0.0,
    alternates=False,
    options={"checkpoint": ""},
)

"""The same images in the same order on both sides, which is an option of `run`."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Null
from epoch_gap.profiler.phases import Phase

EXPERIMENT = Experiment(
    name="shared_data_order",
    claim="Who draws the order of the images makes no difference to the time of a step.",
    may_change=(Phase.EPOCH_START, Phase.FETCH),
    prediction=Null(),
    keeps=None,
    alternates=False,
    options={"data-order": "shared"},
)

"""The article's third guess: no progress bar at all."""

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Remove
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, replace_attribute, undo_all

EXPERIMENT = Experiment(
    name="no_progress_bar",
    claim="The progress bar costs what its phase takes.",
    guess=3,
    may_change=(Phase.LOGGING,),
    prediction=Remove(Phase.LOGGING),
    keeps=0.0,
)
CLOCKS = {Phase.LOGGING: "nothing: there is no bar"}


def apply(workload: Workload, dose: float) -> Undo:
    """Start, update and close no bar; the undo starts the bar that an epoch in between has missed."""
    progress = workload.progress
    start, close = progress.start, progress.close
    missed: list[float] = []

    def close_if_started() -> None:
        if missed:
            missed.clear()
        else:
            close()

    undo_methods = undo_all(
        [
            replace_attribute(progress, "start", missed.append),
            replace_attribute(progress, "update", lambda loss, acc: None),
            replace_attribute(progress, "close", close_if_started),
        ]
    )

    def undo() -> None:
        undo_methods()
        if missed:
            start(missed[-1])

    return undo

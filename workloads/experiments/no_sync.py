"""The communication of ranks: steps in which gradients stay on their rank, in DDP's `no_sync`."""

from contextlib import ExitStack
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Null
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.intervention import Undo

EXPERIMENT = Experiment(
    name="no_sync",
    claim="All communication hides behind the backward pass: a rank's step without it takes as long.",
    frameworks=("torch",),
    may_change=(Phase.FORWARD, Phase.BACKWARD),
    prediction=Null(),
    keeps=None,
    needs_ranks=True,
)


def check(framework: Framework, dose: float) -> None:
    """Raise UserError in a process that trains alone."""
    if getattr(framework, "network", None) is None:
        raise UserError("it needs ranks; start the run with torchrun")


def apply(workload: Workload, dose: float) -> Undo:
    """Leave out the exchange of gradients, the forward pass included; the undo restores every rank's state."""
    framework: Any = workload.framework
    restore = framework.keep_state()
    block = ExitStack()
    block.enter_context(framework.network.no_sync())

    def undo() -> None:
        block.close()
        restore()

    return undo

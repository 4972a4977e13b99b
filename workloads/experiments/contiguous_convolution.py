"""Lucid's convolution returns a transposed view on the CPU; here that is copied in the order of its axes."""

from collections.abc import Callable, Sequence
from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Ratio
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo

EXPERIMENT = Experiment(
    name="contiguous_convolution",
    claim="Lucid's batch normalisation and ReLU are slow because its convolution hands them a transposed view.",
    guess=1,
    frameworks=("lucid",),
    devices=("cpu",),
    needs="normalisation",
    may_change=(Phase.FORWARD, Phase.BACKWARD),
    prediction=Ratio((Phase.FORWARD, Phase.BACKWARD), isolated="variants"),
    keeps=1e-5,
)


def apply(workload: Workload, dose: float) -> Undo:
    """Copy what a convolution returns into an array whose memory follows the axes image, channel, row, column."""
    from epoch_gap.workloads.adapters.lucid_operations import copy_convolutions

    return copy_convolutions()


def variants(framework: Any, indices: Sequence[int]) -> tuple[Callable[[], None], Callable[[], None]]:
    """Forward and backward of the stage `layer1` on one batch: as they are, and with the copies."""
    from epoch_gap.workloads.adapters.lucid_operations import copy_convolutions, step_of

    architecture = framework.architecture
    entry = next(o.sources[0] for o in architecture.operations if o.name.startswith("layer1."))
    present = step_of(framework.model.layer1, (len(indices), *architecture.shapes()[entry]))

    def new() -> None:
        undo = copy_convolutions()
        present()
        undo()

    return present, new

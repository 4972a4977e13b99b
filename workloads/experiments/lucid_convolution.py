"""The article's first guess: Lucid's convolution inside PyTorch, on the CPU."""

from collections.abc import Callable
from typing import Any

from epoch_gap.profiler.drilldown.spans import OperatorCategory
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Substitute
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, scale_script

EXPERIMENT = Experiment(
    name="lucid_convolution",
    claim="With Lucid's way of convolution, PyTorch is as slow as Lucid is because of it.",
    guess=1,
    frameworks=("torch", "fake"),
    devices=("cpu",),
    may_change=(Phase.FORWARD, Phase.BACKWARD, Phase.EVALUATE),
    prediction=Substitute(OperatorCategory.CONVOLUTION, (Phase.FORWARD, Phase.BACKWARD, Phase.EVALUATE), by="lucid"),
    keeps=1e-5,
)


def apply(workload: Workload, dose: float) -> Undo:
    """Compute each convolution by NumPy in Lucid's way, without copies."""
    return _APPLY[workload.framework.name](workload)


def _of_torch(workload: Workload) -> Undo:
    from epoch_gap.workloads.adapters.lucid_kernels import CONVOLUTION
    from epoch_gap.workloads.adapters.torch_operations import transplant_convolution

    framework: Any = workload.framework
    return transplant_convolution(framework.model, CONVOLUTION)


def _of_fake(workload: Workload) -> Undo:
    return scale_script(workload.framework, {Phase.FORWARD: 2.5, Phase.BACKWARD: 2.5, Phase.EVALUATE: 2.5})


_APPLY: dict[str, Callable[[Workload], Undo]] = {"torch": _of_torch, "fake": _of_fake}

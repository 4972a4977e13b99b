"""The article's first guess: PyTorch's ReLU inside Lucid, on the CPU."""

from collections.abc import Callable

from epoch_gap.profiler.drilldown.spans import OperatorCategory
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Substitute
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, scale_script

EXPERIMENT = Experiment(
    name="torch_relu",
    claim="Lucid is slower because its ReLU is slower than PyTorch's.",
    guess=1,
    frameworks=("lucid", "fake"),
    devices=("cpu",),
    needs="relu",
    may_change=(Phase.FORWARD, Phase.BACKWARD, Phase.EVALUATE),
    prediction=Substitute(OperatorCategory.ACTIVATION, (Phase.FORWARD, Phase.BACKWARD, Phase.EVALUATE), by="torch"),
    keeps=1e-5,
)


def apply(workload: Workload, dose: float) -> Undo:
    """Compute each ReLU by PyTorch, without copies."""
    return _APPLY[workload.framework.name](workload)


def _of_lucid(workload: Workload) -> Undo:
    from epoch_gap.workloads.adapters.lucid_operations import transplant_relu
    from epoch_gap.workloads.adapters.torch_kernels import RELU

    return transplant_relu(RELU)


def _of_fake(workload: Workload) -> Undo:
    return scale_script(workload.framework, {Phase.FORWARD: 0.9, Phase.BACKWARD: 0.9, Phase.EVALUATE: 0.9})


_APPLY: dict[str, Callable[[Workload], Undo]] = {"lucid": _of_lucid, "fake": _of_fake}

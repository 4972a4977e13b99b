"""The article's first guess: PyTorch's batch normalisation inside Lucid, on the CPU."""

from collections.abc import Callable

from epoch_gap.profiler.drilldown.spans import OperatorCategory
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Substitute
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.intervention import Undo, scale_script

EXPERIMENT = Experiment(
    name="torch_batch_norm",
    claim="Lucid is slower because its batch normalisation is slower than PyTorch's.",
    guess=1,
    frameworks=("lucid", "fake"),
    devices=("cpu",),
    needs="normalisation",
    may_change=(Phase.FORWARD, Phase.BACKWARD),
    prediction=Substitute(OperatorCategory.NORMALISATION, (Phase.FORWARD, Phase.BACKWARD), by="torch"),
    keeps=1e-5,
)


def apply(workload: Workload, dose: float) -> Undo:
    """Compute each batch normalisation of a training by PyTorch, without copies; that of an evaluation stays."""
    return _APPLY[workload.framework.name](workload)


def _of_lucid(workload: Workload) -> Undo:
    from epoch_gap.workloads.adapters.lucid_operations import transplant_batch_norm
    from epoch_gap.workloads.adapters.torch_kernels import BATCH_NORM

    return transplant_batch_norm(BATCH_NORM)


def _of_fake(workload: Workload) -> Undo:
    return scale_script(workload.framework, {Phase.FORWARD: 0.8, Phase.BACKWARD: 0.8})


_APPLY: dict[str, Callable[[Workload], Undo]] = {"lucid": _of_lucid, "fake": _of_fake}

"""The article's first guess: OpenBLAS uses its AVX2 kernels, not those that it has chosen for this processor."""

from threadpoolctl import threadpool_info

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Null
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.framework import Framework

KERNEL = "Haswell"
EXPERIMENT = Experiment(
    name="haswell_kernels",
    claim="The kernels that OpenBLAS chooses make no difference.",
    guess=1,
    may_change=(Phase.FORWARD, Phase.BACKWARD, Phase.EVALUATE),
    prediction=Null(),
    keeps=1e-5,
    alternates=False,
)


def environment(dose: float) -> dict[str, str]:
    """OpenBLAS's own variable."""
    return {"OPENBLAS_CORETYPE": KERNEL}


def check(framework: Framework, dose: float) -> None:
    """Read the kernels back from every OpenBLAS of this process."""
    kernels = [pool["architecture"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]
    if not kernels:
        raise UserError("no OpenBLAS in this process")
    if others := {kernel for kernel in kernels if kernel.lower() != KERNEL.lower()}:
        raise UserError(f"no effect in this process: OpenBLAS uses {', '.join(sorted(others))}")

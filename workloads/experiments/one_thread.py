"""One thread in every pool: OpenMP's and those of the BLAS libraries."""

from threadpoolctl import threadpool_info

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Scale
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.framework import Framework

ENVIRONMENT = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
EXPERIMENT = Experiment(
    name="one_thread",
    claim="The framework uses all cores well: on one thread, each step takes the CPU seconds that it took on all.",
    guess=1,
    may_change=tuple(Phase),
    prediction=Scale(1),
    keeps=1e-5,
    alternates=False,
)


def check(framework: Framework) -> None:
    """Read the size of every pool back."""
    sizes = {pool["prefix"]: pool["num_threads"] for pool in threadpool_info()}
    sizes[framework.title] = framework.describe().get("threads", 1)
    larger = ", ".join(f"{name} has {size}" for name, size in sizes.items() if size != 1)
    if larger:
        raise UserError(f"no effect in this process: {larger} threads")

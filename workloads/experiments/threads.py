"""A number of threads in every pool: OpenMP's and those of the BLAS libraries. The dose is the number."""

from dataclasses import replace

from threadpoolctl import threadpool_info

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.profiler.experiments.prediction import Scale
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.framework import Framework

DOSE, DOSES = 1, range(1, 1025)
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
EXPERIMENT = Experiment(
    name="threads",
    claim="The framework uses all cores well: on one thread, each step takes the CPU seconds that it took on all.",
    guess=1,
    may_change=tuple(Phase),
    prediction=Scale(DOSE),
    keeps=1e-5,
    alternates=False,
)


def with_dose(dose: float) -> Experiment:
    """The same claim for another number of threads."""
    number = int(dose)
    if number == DOSE:
        return EXPERIMENT
    claim = EXPERIMENT.claim.replace("one thread", f"{number} threads")
    return replace(EXPERIMENT, name=f"threads={number}", claim=claim, prediction=Scale(number))


def environment(dose: float) -> dict[str, str]:
    """The number, for every pool."""
    return dict.fromkeys(VARIABLES, str(int(dose)))


def check(framework: Framework, dose: float) -> None:
    """Read the size of every pool back."""
    sizes = {pool["prefix"]: pool["num_threads"] for pool in threadpool_info()}
    sizes[framework.title] = framework.describe().get("threads", dose)
    others = ", ".join(f"{name} has {size}" for name, size in sizes.items() if size != dose)
    if others:
        raise UserError(f"no effect in this process: {others} threads")

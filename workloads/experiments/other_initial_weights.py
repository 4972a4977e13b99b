"""The initial weights of the other side, with which a side shares its initialisation and not only its images."""

from typing import Any

from epoch_gap.profiler.experiments.experiment import Experiment
from epoch_gap.workloads import registry
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.experiments import Workload
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.initial_weights import INITIALISATION, draw_weights
from epoch_gap.workloads.intervention import Undo

EXPERIMENT = Experiment(
    name="other_initial_weights",
    claim="The first losses jump because of the initialisation: with the other side's weights, they do not.",
    guess=5,
    may_change=(),
    prediction=None,
    keeps=None,
    alternates=False,
)


_OTHER = {"lucid": "torch", "torch": "lucid", "mlx": "torch"}
"""by framework: whose weights it gets; any other gets those that all frameworks can share"""


def describe(framework: Framework) -> dict[str, Any]:
    """The initialisation, in the words of the side that draws it."""
    other = _OTHER.get(framework.name)
    if other is None:
        return {"initialisation": INITIALISATION}
    return {"initialisation": _build(other, framework.architecture, 0).describe()["initialisation"]}


def apply(workload: Workload, dose: float) -> Undo:
    """Build the other side's network with the same seed, and set its weights."""
    framework, before = workload.framework, workload.framework.read_weights()
    other, architecture, seed = _OTHER.get(framework.name), framework.architecture, workload.seed
    drawn = draw_weights(architecture, seed) if other is None else _build(other, architecture, seed).read_weights()
    framework.set_weights(drawn)
    return lambda: framework.set_weights(before)


def _build(name: str, architecture: Architecture, seed: int) -> Framework:
    return registry.build(name, registry.Options(device="cpu", seed=seed, network=architecture.network))

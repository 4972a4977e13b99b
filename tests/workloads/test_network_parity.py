"""Every network in every framework, from the same weights on the same batches: two steps agree up to rounding."""

import gc
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from epoch_gap.profiler.parity.tensors import Quantity, deviations, largest_difference
from epoch_gap.profiler.storage.manifest import Network
from epoch_gap.workloads.architecture import find_architecture
from epoch_gap.workloads.cifar10.load import load_cifar10
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.parity_steps import Batches, read_definitions, train_in_lockstep
from tests.helpers.adapters import FUNCTIONAL, SEED, build
from tests.helpers.outside import adapter_of, outside_class

BATCH, STEPS, TOLERANCE = 4, 2, 1e-4
NETWORKS = [Network("resnet50", 16), Network("lenet5", 32)]
FUNCTIONAL_TORCH = "functional torch"
SLOW = [Network("resnet34", 16), Network("resnet18", 64), Network("resnet34", 32), Network("resnet50", 32)]
LONG = (Network("resnet50", 16), "jax")
"""compiling it takes half a minute"""
OTHERS = [("lucid", "cpu"), ("mlx", "cpu"), (FUNCTIONAL_TORCH, "cpu"), *FUNCTIONAL]
each = pytest.mark.parametrize(
    ("network", "name", "device"),
    [
        *((network, *side) for network in NETWORKS for side in OTHERS if (network, side[0]) != LONG),
        (Network("lenet5", 33), "lucid", "gpu"),
        *(pytest.param(network, *side, marks=pytest.mark.bench) for network in SLOW for side in OTHERS),
        *(pytest.param(LONG[0], *side, marks=pytest.mark.bench) for side in OTHERS if side[0] == LONG[1]),
    ],
    ids=lambda value: f"{value.model}-{value.image_size}" if isinstance(value, Network) else value,
)


def build_other(name: str, device: str, network: Network) -> Framework:
    if name == FUNCTIONAL_TORCH:
        core = outside_class("functional_torch", "FunctionalTorch")
        return adapter_of(core, architecture=find_architecture(network))
    return build(name, device, network)


def batches(size: int) -> Batches:
    data = load_cifar10("synthetic", train_limit=BATCH * STEPS, test_limit=1, image_size=size)
    return Batches(data, BATCH, STEPS, SEED)


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Free a test's networks before the next one: they hold gigabytes in cycles, and JAX keeps what it compiled."""
    yield
    gc.collect()
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


@each
def test_two_steps_agree_up_to_rounding(network: Network, name: str, device: str) -> None:
    reference, rounded = (build("torch", "cpu", network) for _ in range(2))
    other = build_other(name, device, network)
    data = batches(network.image_size)
    found = train_in_lockstep(reference, other, [rounded], data, TOLERANCE, lambda found: None)
    assert {*found.traces[Quantity.OUTPUT], "loss"} == {layer.name for layer in other.architecture.layers()}
    assert set(found.traces[Quantity.WEIGHT]) == {name.rpartition(".")[0] for name in other.read_weights()}
    assert (Quantity.STATISTICS in found.traces) == ("normalisation" in other.architecture.kinds())
    assert largest_difference(found.traces, Quantity.OUTPUT, 0)[1] < 1e-3
    assert found.other[0] == pytest.approx(found.reference[0], rel=5e-5)
    assert found.other[1] == pytest.approx(found.reference[1], rel=0.05)
    assert found.transposed is None
    first = {d.quantity for d in deviations(found.traces, TOLERANCE) if d.step == 1}
    assert first <= {Quantity.STATISTICS}  # the variance of Lucid's running statistics


def test_a_network_without_normalisation_has_no_definition_of_one() -> None:
    names = {definition.name for definition in read_definitions(build("torch", "cpu", Network("lenet5")))}
    assert "momentum" not in names
    assert {"initial spread", "cross-entropy", "weight decay"} <= names


def test_the_channels_of_a_flattened_image_are_renumbered_together() -> None:
    """PyTorch against itself: the renumbered LeNet-5 computes the same losses but for rounding."""
    network = Network("lenet5", 40)
    reference, other, rounded = (build("torch", "cpu", network) for _ in range(3))
    found = train_in_lockstep(reference, other, [rounded], batches(40), TOLERANCE, lambda found: None)
    assert found.other == found.reference
    assert found.rounded[0] == pytest.approx(found.reference, rel=1e-4)
    rounding = [trace.rounding[0] for trace in found.traces[Quantity.OUTPUT].values()]
    assert 0 < np.max(rounding) < 1e-5

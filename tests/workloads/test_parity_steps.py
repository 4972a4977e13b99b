"""Frameworks in lockstep: equal ones agree, and planted faults are found with their layer and kind. Small images."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.parity.definitions import DefinitionDifference, definition_differences
from epoch_gap.profiler.parity.tensors import Quantity, deviations, largest_difference, relative_difference
from epoch_gap.workloads.architecture import resnet18
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.parity_steps import (
    Batches,
    Lockstep,
    parity_access,
    read_definitions,
    read_schedule,
    take_losses,
    take_step,
    train_in_lockstep,
)
from epoch_gap.workloads.renumbering import Renumbering
from tests.helpers.adapters import FUNCTIONAL, SEED, build
from tests.helpers.parity import small_data

BATCH, STEPS, TOLERANCE = 4, 2, 1e-4
BATCHES = Batches(small_data(BATCH * STEPS), BATCH, STEPS, SEED)
REAL = pytest.mark.parametrize(
    ("name", "device"), [("torch", "cpu"), ("lucid", "cpu"), ("lucid", "gpu"), ("mlx", "cpu"), *FUNCTIONAL]
)


def torch() -> Any:
    return build("torch", "cpu")


def lockstep(other: Framework, batches: Batches = BATCHES) -> Lockstep:
    return train_in_lockstep(torch(), other, [torch()], batches, TOLERANCE, lambda found: None)


def first_step(other: Framework) -> Lockstep:
    return lockstep(other, replace(BATCHES, steps=1))


def differences(other: Framework) -> list[DefinitionDifference]:
    reference = torch()
    weights = reference.read_weights()
    return definition_differences(read_definitions(reference), read_definitions(other), weights)


@cache
def compared(name: str, device: str) -> Lockstep:
    return lockstep(build(name, device))


@REAL
def test_the_first_step_agrees_up_to_rounding_in_every_framework(name: str, device: str) -> None:
    found = compared(name, device)
    found_names = set(found.traces[Quantity.OUTPUT]) | {"loss"}
    assert found_names == {layer.name for layer in resnet18.layers()}
    assert largest_difference(found.traces, Quantity.OUTPUT, 0)[1] < 3e-5
    assert found.other[0] == pytest.approx(found.reference[0], rel=1e-5)
    assert found.transposed is None
    other = {d.quantity for d in deviations(found.traces, TOLERANCE) if d.step == 1}
    assert other <= {Quantity.STATISTICS}  # the variance of Lucid's running statistics


@REAL
def test_weights_are_set_and_read_in_the_same_layout(name: str, device: str) -> None:
    framework = build(name, device)
    draw = np.random.default_rng(0)
    weights = {key: draw.random(array.shape, np.float32) for key, array in framework.read_weights().items()}
    framework.set_weights(weights)
    assert all(np.array_equal(array, weights[key]) for key, array in framework.read_weights().items())


@REAL
def test_a_probe_of_a_batch_normalisation_leaves_its_statistics_alone(name: str, device: str) -> None:
    framework = build(name, device)
    take_step(framework, next(BATCHES.load(framework)))
    before = parity_access(framework).statistics()
    read_definitions(framework)
    after = parity_access(framework).statistics()
    assert all(np.array_equal(after[key], array) for key, array in before.items())
    assert any(array.any() for key, array in before.items() if key.endswith("mean"))


def test_lucid_divides_the_variance_of_running_statistics_by_n() -> None:
    found = [d for d in differences(build("lucid", "cpu")) if not d.name.startswith("initial")]
    (variance,) = found
    assert variance.name == "variance of the running statistics"
    assert (variance.reference_meaning, variance.other_meaning) == (
        "unbiased (divided by n - 1)",
        "biased (divided by n)",
    )
    assert len(variance.places) == 20


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_the_schedules_of_both_articles_differ_from_the_sixth_epoch() -> None:
    rates = [read_schedule(framework) for framework in (torch(), build("lucid", "cpu"))]
    places = [place for d in definition_differences(rates[0], rates[1], {}) for place in d.places]
    assert places == [f"epoch {n}" for n in range(6, 21)]


def test_a_framework_agrees_with_itself() -> None:
    found = lockstep(torch())
    assert found.other == found.reference
    assert found.rounded[0] == pytest.approx(found.reference, rel=0.02)
    assert all(trace.difference == [0, 0] for layers in found.traces.values() for trace in layers.values())
    assert differences(torch()) == []


def test_renumbered_channels_compute_the_same_step_in_another_order_of_summation() -> None:
    reference, other = torch(), torch()
    weights = reference.read_weights()
    renumbering = Renumbering.draw(reference.architecture, 1)
    other.set_weights(renumbering.renumber(weights))
    expected = take_step(reference, next(BATCHES.load(reference)))
    raw = take_step(other, next(BATCHES.load(other, True)), is_reversed=True)
    undone = renumbering.undo(raw)
    for layer, output in expected.tensors[Quantity.OUTPUT].items():
        assert relative_difference([undone.tensors[Quantity.OUTPUT][layer]], [output]) < 1e-5
    block = raw.tensors[Quantity.OUTPUT]["layer1.0.conv1"]
    assert relative_difference([block], [expected.tensors[Quantity.OUTPUT]["layer1.0.conv1"]]) > 0.1


def plant_momentum(framework: Any) -> None:
    framework.model.layer2[0].bn1.momentum = 0.2


def plant_epsilon(framework: Any) -> None:
    framework.model.layer3[1].bn2.eps = 1e-2


def plant_optimizer_epsilon(framework: Any) -> None:
    framework._optimizer.param_groups[0]["eps"] = 1e-3


def plant_decoupled_decay(framework: Any) -> None:
    framework._optimizer.param_groups[0]["decoupled_weight_decay"] = True


def plant_sum(framework: Any) -> None:
    framework._criterion.reduction = "sum"


@pytest.mark.parametrize(
    ("plant", "quantity", "layer", "names"),
    [
        (plant_momentum, Quantity.STATISTICS, "layer2.0.bn1", {"momentum"}),
        (plant_epsilon, Quantity.OUTPUT, "layer3.1.bn2", {"epsilon"}),
        (plant_optimizer_epsilon, Quantity.WEIGHT, "", {"epsilon", "epsilon in the second step"}),
        (plant_sum, Quantity.LOSS, "loss", {"cross-entropy"}),
    ],
)
def test_a_planted_definition_is_found_with_its_layer_and_kind(
    plant: Callable[[Any], None], quantity: Quantity, layer: str, names: set[str]
) -> None:
    other = torch()
    plant(other)
    found = differences(other)
    assert {d.name for d in found} >= names
    assert all(layer in d.places or d.places in (("optimizer",), ("loss",)) for d in found)
    first = deviations(first_step(other).traces, TOLERANCE)[0]
    assert (first.step, first.quantity) == (1, quantity)
    assert layer in ("", first.layer)  # an epsilon of Adam matters most where gradients are small


def test_a_planted_decoupled_decay_is_named() -> None:
    other = torch()
    plant_decoupled_decay(other)
    assert {(d.name, d.other_meaning) for d in differences(other)} == {
        ("weight decay", "decoupled from the gradient")
    }


class Transposed:
    """A framework that exchanges rows and columns of one layer's kernels, set or read."""

    def __init__(self, framework: Any, name: str) -> None:
        self._framework, self._name = framework, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._framework, attribute)

    def set_weights(self, weights: Any) -> None:
        self._framework.set_weights(self._exchanged(weights))

    def read_weights(self) -> Any:
        return self._exchanged(self._framework.read_weights())

    def _exchanged(self, weights: Any) -> Any:
        return {**weights, self._name: weights[self._name].transpose(0, 1, 3, 2)}


def test_a_transposed_weight_is_found_with_its_layer_and_axes() -> None:
    other: Any = Transposed(torch(), "layer2.1.conv1.weight")
    found = first_step(other)
    first = deviations(found.traces, TOLERANCE)[0]
    assert (first.step, first.quantity, first.layer) == (1, Quantity.OUTPUT, "layer2.1.conv1")
    assert found.transposed is not None
    assert (found.transposed.layer, found.transposed.axes) == ("layer2.1.conv1", (0, 1, 3, 2))
    assert found.transposed.remaining < 1e-5


def test_a_loss_that_is_not_a_number_is_a_deviation_and_no_crash() -> None:
    other = torch()
    weight = other.model.layer4[1].bn2
    weight.eps = float("nan")
    found = first_step(other)
    assert np.isnan(found.other[0])
    first = deviations(found.traces, TOLERANCE)[0]
    assert (first.layer, first.difference) == ("layer4.1.bn2", np.inf)
    assert {d.name for d in differences(other)} >= {"epsilon"}


class Lacking:
    """A framework whose network is without one layer."""

    def __init__(self, framework: Any) -> None:
        self._framework = framework

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._framework, attribute)

    def read_weights(self) -> Any:
        return {k: array for k, array in self._framework.read_weights().items() if not k.startswith("fc.")}


def test_networks_with_different_layers_are_refused_in_one_line() -> None:
    other: Any = Lacking(torch())
    with pytest.raises(UserError) as error:
        lockstep(other)
    assert str(error.value) == (
        "PyTorch and PyTorch have different layers: the second network lacks fc.weight and 1 more"
    )


def test_losses_without_a_comparison_are_those_of_the_comparison() -> None:
    assert take_losses(torch(), BATCHES) == compared("torch", "cpu").reference


def test_the_scripted_fake_has_nothing_to_compare() -> None:
    with pytest.raises(UserError, match="the training of scripted fake cannot be compared"):
        parity_access(build("fake", "cpu"))

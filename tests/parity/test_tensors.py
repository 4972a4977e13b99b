"""Relative differences, and which of them count."""

import math

import numpy as np
import pytest

from epoch_gap.profiler.parity.tensors import (
    Quantity,
    StepTensors,
    Trace,
    add_differences,
    by_layer,
    check_same_layers,
    deviations,
    head_start,
    layer_of,
    relative_difference,
    same_shape_axes,
    step_differences,
)

ONES = np.ones(4, np.float32)
NAN = np.array([1, np.nan], np.float32)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([ONES], [ONES], 0.0),
        ([2 * ONES], [ONES], 1.0),
        ([np.array([3.0]), np.array([4.0])], [np.array([0.0]), np.array([5.0])], math.sqrt(10) / 5),
        ([0 * ONES], [0 * ONES], 0.0),
        ([ONES], [0 * ONES], math.inf),
        ([ONES], [np.ones(3)], math.inf),
        ([NAN], [NAN], 0.0),
        ([np.ones(2)], [NAN], math.inf),
        ([NAN], [np.ones(2)], math.inf),
        ([np.array([np.inf, 1.0])], [np.array([np.inf, 1.0])], 0.0),
        ([np.array([np.inf, 1.0])], [np.array([-np.inf, 1.0])], math.inf),
    ],
)
def test_the_relative_difference_is_that_of_the_norms_and_infinite_where_values_cannot_be_compared(
    a: list[np.ndarray], b: list[np.ndarray], expected: float
) -> None:
    assert relative_difference(a, b) == pytest.approx(expected)


def test_a_layers_tensors_count_together() -> None:
    assert layer_of("layer1.0.bn1.running_var") == "layer1.0.bn1"
    assert layer_of("layer1.0.bn1") == "layer1.0.bn1"
    assert [len(arrays) for arrays in by_layer({"fc.weight": ONES, "fc.bias": ONES, "pool": ONES}).values()] == [2, 1]


def step(loss: float, **outputs: float) -> StepTensors:
    return StepTensors(loss, {Quantity.OUTPUT: {name: np.array([value]) for name, value in outputs.items()}})


def test_each_step_adds_the_difference_and_the_largest_rounding() -> None:
    traces: dict[Quantity, dict[str, Trace]] = {}
    reference = step(1.0, stem=1.0, fc=2.0)
    roundings = [step_differences(step(1.0, stem=1.0, fc=2.0 + r), reference) for r in (0.2, 0.1)]
    add_differences(traces, step_differences(step(1.5, stem=1.0, fc=3.0), reference), roundings)
    assert traces[Quantity.OUTPUT] == {"stem": Trace([0.0], [0.0]), "fc": Trace([0.5], [pytest.approx(0.1)])}
    assert traces[Quantity.LOSS] == {"loss": Trace([0.5], [0.0])}


def test_deviations_are_beyond_tolerance_and_rounding_and_in_the_order_of_computation() -> None:
    traces = {
        Quantity.OUTPUT: {"a": Trace([1e-6, 0.5], [1e-6, 0.1]), "b": Trace([1e-3, 0.2], [1e-6, 0.1])},
        Quantity.GRADIENT: {"a": Trace([0.9, 0.1], [1e-3, 0.1]), "b": Trace([0.8, 0.1], [1e-3, 0.1])},
        Quantity.WEIGHT: {"a": Trace([5e-3, math.inf], [5e-3, 0.1])},
    }
    found = [(d.step, d.quantity, d.layer) for d in deviations(traces, 1e-4)]
    assert found == [
        (1, Quantity.OUTPUT, "b"),
        (1, Quantity.GRADIENT, "b"),
        (1, Quantity.GRADIENT, "a"),
        (2, Quantity.WEIGHT, "a"),
    ]


def test_a_head_start_of_the_first_step_is_allowed_for_later() -> None:
    traces = {
        Quantity.OUTPUT: {"a": Trace([1e-5, 1e-2], [3e-6, 1e-4])},
        Quantity.WEIGHT: {"a": Trace([2e-3, 4e-3], [5e-5, 1e-3])},
    }
    assert head_start(traces) == pytest.approx(40)
    assert deviations(traces, 1e-4) == []
    traces[Quantity.WEIGHT]["a"].rounding[0] = 2e-3
    assert head_start(traces) == 1
    assert [(d.step, d.quantity) for d in deviations(traces, 1e-4)] == [(2, Quantity.OUTPUT)]
    traces[Quantity.WEIGHT]["a"].rounding[0] = 0.0
    assert head_start(traces) == math.inf


def test_networks_with_other_layers_or_shapes_are_told_apart_in_words() -> None:
    assert check_same_layers({"fc": ONES}, {"fc": ONES}) is None
    both = {"fc": ONES, "stem": ONES}
    assert check_same_layers({"fc": ONES}, both) == "the second network lacks stem"
    assert check_same_layers(both, {"fc": ONES}) == "the first network lacks stem"
    assert check_same_layers({}, both) == "the second network lacks fc and 1 more"
    assert check_same_layers({"fc": np.ones(3)}, {"fc": ONES}) == (
        "fc is (4,) in the first network and (3,) in the second"
    )


def test_the_axes_that_can_be_exchanged_unnoticed() -> None:
    assert same_shape_axes((64, 3, 5, 5)) == [(0, 1, 3, 2)]
    assert len(same_shape_axes((64, 64, 3, 3))) == 3
    assert same_shape_axes((10, 512)) == []

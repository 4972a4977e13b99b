"""Where two sides differ, from drill-downs with known seconds."""

from dataclasses import replace

import pytest

from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.sides import SideDrilldowns
from epoch_gap.profiler.drilldown.spans import Direction, OperatorCategory
from epoch_gap.reports.sentences.side_drilldowns import NOTHING_CLEAR, describe_part, describe_sides
from tests.helpers.drilldowns import drilldown


def with_steps(d: Drilldown, *factors: float) -> Drilldown:
    """The drill-down as if its steps had taken these multiples of their time."""
    entries = [replace(e, steps=tuple(f * e.seconds.value for f in factors)) for e in d.entries]
    return replace(d, entries=entries)


A = {"layer1.0.conv1": 0.010, "layer1.1.conv2": 0.020, "layer2.0.conv1": 0.005}
B = {"layer1.0.conv1": 0.025, "layer1.1.conv2": 0.036, "layer2.0.conv1": 0.005}


def test_layers_are_summed_to_stages_and_the_largest_difference_comes_first() -> None:
    sides = SideDrilldowns(layers=(drilldown({"fc": 0.001}, A), drilldown({"fc": 0.001}, B)))
    first, *others = sides.stages
    assert (first.direction, first.name) == (Direction.BACKWARD, "layer1")
    assert first.seconds.value == pytest.approx(0.031)
    assert {(part.direction, part.name) for part in others} == {
        (Direction.BACKWARD, "layer2"),
        (Direction.FORWARD, "fc"),
    }


def test_a_difference_has_the_interval_of_its_steps() -> None:
    a, b = (with_steps(drilldown({}, layers), 0.98, 1.02, 0.99, 1.01, 1.0) for layers in (A, B))
    part = SideDrilldowns(layers=(a, b)).stages[0]
    i = part.seconds.interval()
    assert i.low is not None
    assert i.high is not None
    assert 0.028 < i.low < 0.031 < i.high < 0.034
    assert describe_part(part).startswith("backward of layer1: +31.0 ms (2")


def test_parts_that_may_be_equal_are_not_listed() -> None:
    noisy = (0.5, 1.5, 0.6, 1.4, 1.0)
    a, b = (with_steps(drilldown({}, layers), *noisy) for layers in (A, {**A, "layer1.0.conv1": 0.011}))
    ((heading, parts),) = describe_sides(SideDrilldowns(layers=(a, b))).items()
    assert heading.startswith("Layers, B - A per instrumented step")
    assert parts == [NOTHING_CLEAR]


def test_times_that_are_known_only_as_a_sum_have_no_interval() -> None:
    """As torch.profiler gives those of operators, and as older files have all."""
    a, b = (with_steps(drilldown({}, layers)) for layers in (A, B))
    (part,) = SideDrilldowns(operators=(a, b)).categories
    assert part.name == OperatorCategory.LINEAR
    assert describe_part(part) == "backward of linear: +31.0 ms (interval unknown)"


def test_without_drilldowns_there_is_nothing_to_list_but_the_reason() -> None:
    assert describe_sides(SideDrilldowns()) == {}
    assert describe_sides(SideDrilldowns(problems=("A: no",))) == {"Not timed": ["A: no"]}
    assert SideDrilldowns().stages == SideDrilldowns().categories == []

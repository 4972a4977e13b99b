from dataclasses import replace

import pytest

from epoch_gap.profiler.analysis.stats import Estimate, Interval
from epoch_gap.profiler.comparison.gap import Gap, measure_gap
from epoch_gap.profiler.comparison.gate import decide_gate
from epoch_gap.profiler.comparison.subject import Subject
from tests.helpers.runs import MakeRun


@pytest.fixture
def found(make_run: MakeRun) -> Gap:
    a, b = (Subject.from_runs([make_run([1.0] * 6, config={"label": name})], id=name) for name in "ab")
    return replace(measure_gap(b, a), seconds=Estimate(1.0, 1e-6))


@pytest.mark.parametrize(
    ("low", "high", "allowed", "failed"),
    [
        (1.031, 1.05, 0.02, True),
        (1.01, 1.05, 0.02, False),
        (0.98, 1.01, 0.02, False),
        (0.80, 0.90, 0.0, False),
        (1.001, 1.002, 0.0, True),
        (1.5, 1.6, 0.5, False),
    ],
)
def test_the_gate_fails_only_if_the_whole_interval_is_above_the_limit(
    found: Gap, low: float, high: float, allowed: float, failed: bool
) -> None:
    decision = decide_gate(replace(found, ratio=Interval((low + high) / 2, low, high)), allowed)
    assert (decision.failed, decision.known) == (failed, True)


def test_the_gate_gives_its_decision_and_the_reason(found: Gap) -> None:
    slow = decide_gate(replace(found, ratio=Interval(1.04, 1.031, 1.05)), 0.02)
    assert slow.text == (
        "B is at least 3.1 % slower, above the allowed 2 % "
        "(B / A 1.040, 95 % 1.031 to 1.050, within one process of each): failed"
    )
    passed = decide_gate(replace(found, ratio=Interval(1.01, 0.99, 1.03)), 0.02)
    assert passed.text.startswith(
        "not shown to be more than 2 % slower (B / A 1.010, 95 % 0.990 to 1.030, within one"
    )
    assert passed.text.endswith(": passed")


@pytest.mark.parametrize(("floor", "failed"), [(None, True), (0.03, True), (0.05, False)])
def test_a_ratio_within_the_noise_floor_does_not_fail(found: Gap, floor: float | None, failed: bool) -> None:
    decision = decide_gate(replace(found, ratio=Interval(1.04, 1.031, 1.05), floor=floor), 0.02)
    assert (decision.failed, decision.known) == (failed, True)
    assert ("but within the noise floor of 5 %: passed" in decision.text) != failed


def test_a_ratio_that_would_be_equal_is_compared_with_the_floor_too(found: Gap) -> None:
    narrow = replace(found, ratio=Interval(1.0015, 1.001, 1.002), floor=0.01)
    assert narrow.verdict == "equal"
    assert not decide_gate(narrow, 0.0).failed


def test_an_unknown_interval_decides_nothing(found: Gap) -> None:
    decision = decide_gate(replace(found, ratio=Interval(3.0, None, None)), 0.02)
    assert (decision.failed, decision.known) == (False, False)
    assert "unknown" in decision.text
    assert "passed" not in decision.text


def test_a_difference_that_may_be_0_does_not_fail_and_is_not_called_slower(found: Gap) -> None:
    """The ratio's interval alone excludes 1: few wild steps do that."""
    wild = replace(found, ratio=Interval(1.58, 1.03, 2.44), seconds=Estimate(0.004, 1e-5, 3))
    decision = decide_gate(wild, 0.02)
    assert (decision.failed, decision.known) == (False, True)
    assert "may be 0" in decision.text
    assert wild.verdict == "undecided"
    assert not wild.is_clear

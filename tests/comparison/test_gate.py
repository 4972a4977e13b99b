from dataclasses import replace

import pytest

from epoch_gap.profiler.analysis.stats import Estimate, Interval
from epoch_gap.profiler.comparison.gap import Gap, measure_gap
from epoch_gap.profiler.comparison.gate import GateDecision, decide_gate
from epoch_gap.profiler.comparison.spread import Basis
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.reports.sentences.gate import describe_decision
from tests.helpers.runs import MakeRun


@pytest.fixture
def found(make_run: MakeRun) -> Gap:
    a, b = (Subject.from_runs([make_run([1.0] * 6, config={"label": name})], id=name) for name in "ab")
    return replace(measure_gap(b, a), seconds=Estimate(1.0, 1e-6))


def decide_in_words(gap: Gap, allowed: float) -> str:
    return describe_decision(decide_gate(gap, allowed), gap, allowed)


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
    decision = decide_gate(replace(found, ratio_within=Interval((low + high) / 2, low, high)), allowed)
    assert (decision is GateDecision.FAILED) == failed
    assert decision is not GateDecision.UNKNOWN


def test_the_gate_gives_its_decision_and_the_reason(found: Gap) -> None:
    slow = decide_in_words(replace(found, ratio_within=Interval(1.04, 1.031, 1.05)), 0.02)
    assert slow == (
        "B is at least 3.1 % slower, above the allowed 2 % "
        "(B / A 1.040, 95 % 1.031 to 1.050, spread between processes: not known; run again): failed"
    )
    passed = decide_in_words(replace(found, ratio_within=Interval(1.01, 0.99, 1.03)), 0.02)
    assert passed.startswith("not shown to be more than 2 % slower (B / A 1.010, 95 % 0.990 to 1.030, spread between")
    assert passed.endswith(": passed")


@pytest.mark.parametrize(("floor", "failed"), [(None, True), (0.03, True), (0.05, False)])
def test_a_ratio_within_the_noise_floor_does_not_fail(found: Gap, floor: float | None, failed: bool) -> None:
    gap = replace(found, ratio_within=Interval(1.04, 1.031, 1.05), floor=floor)
    assert decide_gate(gap, 0.02) is (GateDecision.FAILED if failed else GateDecision.WITHIN_NOISE_FLOOR)
    assert ("but within the noise floor of 5 %: passed" in decide_in_words(gap, 0.02)) != failed


def test_a_ratio_that_would_be_equal_is_compared_with_the_floor_too(found: Gap) -> None:
    narrow = replace(found, ratio_within=Interval(1.0015, 1.001, 1.002), floor=0.01)
    assert narrow.verdict == "equal"
    assert decide_gate(narrow, 0.0) is GateDecision.WITHIN_NOISE_FLOOR


def test_an_unknown_interval_decides_nothing(found: Gap) -> None:
    gap = replace(found, ratio_within=Interval(3.0, None, None))
    assert decide_gate(gap, 0.02) is GateDecision.UNKNOWN
    assert "unknown" in decide_in_words(gap, 0.02)
    assert "passed" not in decide_in_words(gap, 0.02)


def test_a_difference_that_may_be_0_does_not_fail_and_is_not_called_slower(found: Gap) -> None:
    """The ratio's interval alone excludes 1: few wild steps do that."""
    wild = replace(found, ratio_within=Interval(1.58, 1.03, 2.44), seconds=Estimate(0.004, 1e-5, 3))
    assert decide_gate(wild, 0.02) is GateDecision.MAY_BE_ZERO
    assert "may be 0" in decide_in_words(wild, 0.02)
    assert wild.verdict == "undecided"
    assert not wild.is_clear


def test_a_known_spread_between_processes_decides_in_place_of_what_one_process_knows(found: Gap) -> None:
    narrow = replace(found, ratio_within=Interval(1.04, 1.031, 1.05), ratio=Interval(1.04, 0.99, 1.09))
    assert decide_gate(narrow, 0.02) is GateDecision.FAILED
    assert decide_gate(replace(narrow, basis=Basis(1, 6, 2)), 0.02) is GateDecision.NOT_SHOWN

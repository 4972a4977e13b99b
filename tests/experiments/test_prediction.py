from dataclasses import replace
from pathlib import Path

import pytest

from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.analysis.stats import Estimate
from epoch_gap.profiler.drilldown.spans import OperatorCategory
from epoch_gap.profiler.experiments.evidence import Evidence, MissingEvidenceError
from epoch_gap.profiler.experiments.prediction import (
    Delay,
    Move,
    Null,
    Ratio,
    Remove,
    Scale,
    Substitute,
    SystemTime,
    sum_of_changes,
)
from epoch_gap.profiler.experiments.stored_evidence import gather_evidence
from epoch_gap.profiler.phases import Phase
from tests.helpers.fake_training import scripted_run

FORWARD, BACKWARD, MATERIALIZE, EVALUATE = Phase.FORWARD, Phase.BACKWARD, Phase.MATERIALIZE, Phase.EVALUATE
CONVOLUTION = OperatorCategory.CONVOLUTION
EVIDENCE = Evidence(
    framework="lucid",
    phases={FORWARD: Estimate(4.0, 0.04, 9), BACKWARD: Estimate(8.0, 0.16, 9)},
    system={FORWARD: Estimate(0.4, 0.01, 9), BACKWARD: Estimate(0.6, 0.04, 9)},
    cores_busy=1.5,
    operators={
        "lucid": {(FORWARD, CONVOLUTION): Estimate(3.0, 0.09, 4), (BACKWARD, CONVOLUTION): Estimate(6.0, 0.16, 4)},
        "torch": {(FORWARD, CONVOLUTION): Estimate(0.5, 0.01, 4), (BACKWARD, CONVOLUTION): Estimate(1.0, 0.01, 4)},
    },
    isolated={"variants": Estimate(0.25, 0.0001, 9)},
)


def test_each_rule_predicts_what_it_says() -> None:
    both = (FORWARD, BACKWARD)
    expected = {
        Remove(FORWARD): {FORWARD: -4.0},
        Substitute(CONVOLUTION, both, by="torch"): {FORWARD: -2.5, BACKWARD: -5.0},
        Ratio((FORWARD,), isolated="variants"): {FORWARD: -3.0},
        Ratio(both, isolated="variants"): {FORWARD: -3.0, BACKWARD: -6.0},
        Move(FORWARD, BACKWARD): {FORWARD: -4.0, BACKWARD: 4.0},
        Null(): {},
        Scale(1): {FORWARD: 2.0, BACKWARD: 4.0},
        Scale(3): {FORWARD: -2.0, BACKWARD: -4.0},
        Delay(FORWARD, 0.25): {FORWARD: 0.25},
        SystemTime(): {FORWARD: -0.4, BACKWARD: -0.6},
    }
    for rule, phases in expected.items():
        change = rule.predict(EVIDENCE)
        assert {phase: part.value for phase, part in change.phases.items()} == pytest.approx(phases), rule
        assert change.whole.value == pytest.approx(sum(phases.values())), rule
        assert change.is_bound is isinstance(rule, Scale)


def test_predictions_have_the_uncertainty_of_their_evidence() -> None:
    substitute = Substitute(CONVOLUTION, (FORWARD, BACKWARD), by="torch").predict(EVIDENCE)
    assert substitute.whole.variance == pytest.approx(0.09 + 0.01 + 0.16 + 0.01)
    assert Move(FORWARD, BACKWARD).predict(EVIDENCE).whole == Estimate(0.0)
    ratio = Ratio((FORWARD,), isolated="variants").predict(EVIDENCE)
    assert ratio.whole.variance == pytest.approx(0.04 * 0.75**2 + 0.0001 * 16)
    of_both = Ratio((FORWARD, BACKWARD), isolated="variants").predict(EVIDENCE)
    seconds = EVIDENCE.phases[FORWARD].variance + EVIDENCE.phases[BACKWARD].variance
    assert of_both.whole.variance == pytest.approx(seconds * 0.75**2 + 0.0001 * 12**2), "one ratio, one error"
    assert SystemTime().predict(EVIDENCE).whole.variance == pytest.approx((0.1 + 0.2) ** 2)
    assert Delay(FORWARD, 1.0).predict(EVIDENCE).whole.variance == 0


def test_the_evaluation_is_predicted_to_change_by_the_share_of_forward() -> None:
    """b - a in forward is -2.5 of 4 s: 2 s of evaluation become 1.25 s shorter. The errors of both are one."""
    evidence = replace(EVIDENCE, per_epoch={EVALUATE: Estimate(2.0, 0.01, 9)})
    change = Substitute(CONVOLUTION, (FORWARD, BACKWARD, EVALUATE), by="torch").predict(evidence)
    seconds = {phase: part.value for phase, part in change.phases.items()}
    assert seconds == pytest.approx({FORWARD: -2.5, BACKWARD: -5.0, EVALUATE: -1.25})
    assert change.whole.value == pytest.approx(-8.75)
    of_weight = (0.01 + 0.5**2 * 0.04) / 4.0**2 * 2.5**2
    assert change.phases[EVALUATE].variance == pytest.approx(0.5**2 * 0.10 + of_weight)
    assert change.whole.variance == pytest.approx(1.5**2 * 0.10 + of_weight + 0.17)
    assert change.without(EVALUATE).whole.value == pytest.approx(-7.5)
    assert change.without(Phase.STEP) is change


def test_a_phase_of_a_lazy_device_is_the_work_that_a_fence_finds_or_a_bound() -> None:
    as_charged = Evidence(framework="lucid", phases={MATERIALIZE: Estimate(3.0)}, is_lazy=True)
    assert Remove(MATERIALIZE).predict(as_charged).is_bound
    fenced = Evidence(framework="lucid", phases=as_charged.phases, is_lazy=True, fenced={MATERIALIZE: Estimate(0.5)})
    change = Remove(MATERIALIZE).predict(fenced)
    assert (change.whole.value, change.is_bound) == (-0.5, False)


@pytest.mark.parametrize(
    ("rule", "missing"),
    [
        (Substitute(CONVOLUTION, (FORWARD,), by="torch"), "the operators of torch were not timed"),
        (Ratio((FORWARD,), isolated="variants"), "not timed in isolation"),
        (Scale(1), "CPU seconds"),
        (SystemTime(), "system's time"),
    ],
)
def test_a_rule_without_its_evidence_says_what_is_missing(rule: Substitute, missing: str) -> None:
    with pytest.raises(MissingEvidenceError, match=missing):
        rule.predict(Evidence(framework="lucid", phases=EVIDENCE.phases))


def test_a_substitution_in_the_evaluation_needs_its_time_and_that_of_forward() -> None:
    rule = Substitute(CONVOLUTION, (FORWARD, EVALUATE), by="torch")
    with pytest.raises(MissingEvidenceError, match="evaluation was not timed"):
        rule.predict(EVIDENCE)
    with pytest.raises(MissingEvidenceError, match="forward took no time"):
        rule.predict(replace(EVIDENCE, phases={BACKWARD: Estimate(8.0)}, per_epoch={EVALUATE: Estimate(2.0)}))


def test_changes_add_up() -> None:
    change = sum_of_changes([Remove(FORWARD).predict(EVIDENCE), Delay(FORWARD, 1.0).predict(EVIDENCE)])
    assert change.phases[FORWARD].value == change.whole.value == -3.0
    assert change.scaled(10).whole.value == -30.0


def test_evidence_is_gathered_from_stored_runs(tmp_path: Path) -> None:
    run = scripted_run(tmp_path, lazy=False, system="forward=5,backward=5", faults="forward=10")
    evidence = gather_evidence({"fake": [analyse_run(run)]}, "fake", {})
    assert evidence.phase(FORWARD).value == pytest.approx(0.010, rel=0.02)
    assert evidence.phase(MATERIALIZE).value == 0
    assert not evidence.is_lazy
    assert evidence.system is not None
    assert evidence.system[FORWARD].value == pytest.approx(0.005, rel=0.02)
    assert evidence.per_epoch[Phase.EVALUATE].value > 0
    with pytest.raises(MissingEvidenceError, match="operators of fake"):
        evidence.operator("fake", FORWARD, CONVOLUTION)


def test_a_lazy_run_is_evidence_of_where_work_is_done(tmp_path: Path) -> None:
    evidence = gather_evidence({"fake": [analyse_run(scripted_run(tmp_path, lazy=True))]}, "fake", {})
    assert evidence.is_lazy
    assert evidence.phase(FORWARD).value == pytest.approx(0, abs=0.001)
    assert evidence.work[FORWARD].value == pytest.approx(0.010, rel=0.02)

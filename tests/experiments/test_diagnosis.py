import math

import pytest

from epoch_gap.profiler.experiments.diagnosis import CLOSE, Cause, diagnose, list_causes
from epoch_gap.reports.sentences.experiments import describe_diagnosis, name_cause

CONVOLUTION = Cause("torch_convolution", 500.0, True)
MEMORY = Cause("kept_memory", 100.0, False)


def test_the_factors_multiply_to_the_ratio() -> None:
    found = diagnose(1000.0, 300.0, [MEMORY, CONVOLUTION])
    assert [factor.cause for factor in found.factors] == [CONVOLUTION, MEMORY]
    assert [factor.factor for factor in found.factors] == pytest.approx([2.0, 1.25])
    assert found.rest == pytest.approx(400 / 300)
    product = math.prod(factor.factor for factor in found.factors) * found.together * found.rest
    assert product == pytest.approx(found.ratio) == pytest.approx(1000 / 300)


def test_what_only_the_combination_does_is_a_factor_of_its_own() -> None:
    found = diagnose(1000.0, 300.0, [MEMORY, CONVOLUTION], gain_together=550.0)
    assert found.together == pytest.approx(400 / 450)
    product = math.prod(factor.factor for factor in found.factors) * found.together * found.rest
    assert product == pytest.approx(found.ratio)
    assert found.rest == pytest.approx(450 / 300)


def test_the_shortest_list_is_the_largest_gains_that_suffice() -> None:
    assert diagnose(1000.0, 400.0, [MEMORY, CONVOLUTION]).shortest == (CONVOLUTION,)
    assert diagnose(1000.0, 300.0, [MEMORY, CONVOLUTION]).shortest == (CONVOLUTION, MEMORY)
    assert diagnose(1000.0, 100.0, [MEMORY, CONVOLUTION]).shortest is None
    assert diagnose(1000.0, 300.0, [MEMORY, CONVOLUTION], gain_together=540.0).shortest is None


def test_a_change_that_gains_nothing_or_more_than_there_is_is_no_cause() -> None:
    found = diagnose(1000.0, 500.0, [Cause("slower", -5.0, True), Cause("impossible", 2000.0, False)])
    assert found.factors == ()
    assert found.rest == found.ratio == 2.0
    (line,) = describe_diagnosis(found, "Lucid", "PyTorch")
    assert line == "Lucid over PyTorch, 2.00x: no tested change lowers this ratio."


def test_a_change_of_both_sides_counts_by_the_ratio_after_it() -> None:
    """1000 over 300 s; kept memory alone: 900 over 290. After the convolution, 500 over 300: 400 over 290."""
    both = Cause("kept_memory", 100.0, True, 10.0, True)
    assert diagnose(1000.0, 300.0, [both]).rest == pytest.approx(900 / 290)
    found = diagnose(1000.0, 300.0, [both, CONVOLUTION])
    assert [factor.cause for factor in found.factors] == [CONVOLUTION, both]
    assert [factor.factor for factor in found.factors] == pytest.approx([2.0, (500 / 300) / (400 / 290)])
    assert found.rest == pytest.approx(400 / 290)
    product = math.prod(factor.factor for factor in found.factors) * found.together * found.rest
    assert product == pytest.approx(found.ratio)


def test_both_sides_have_what_their_changes_do_together() -> None:
    causes = [CONVOLUTION, Cause("kept_memory", 100.0, True, 10.0, True)]
    found = diagnose(1000.0, 300.0, causes, gain_together=550.0, fast_gain_together=20.0)
    assert found.rest == pytest.approx(450 / 280)
    assert found.together == pytest.approx((400 / 290) / (450 / 280))


def test_a_change_that_speeds_up_the_faster_side_more_is_no_cause() -> None:
    """It saves 10 % of the slow epoch and 20 % of the fast one, so the ratio rises."""
    widening = Cause("kept_memory", 100.0, True, 60.0, True)
    found = diagnose(1000.0, 300.0, [widening])
    assert (found.factors, found.rest) == ((), found.ratio)
    assert list_causes(1000.0, 300.0, [widening, CONVOLUTION]) == [CONVOLUTION]
    slower_there = Cause("kept_memory", 100.0, True, -30.0, True)
    assert diagnose(1000.0, 300.0, [slower_there]).rest == pytest.approx(900 / 330)


def test_the_shortest_list_counts_both_sides() -> None:
    """100 s are to go. Of what `b` saves, 1.5 x its gain on the faster side is lost: 80 s are left."""
    one_sided, two_sided = Cause("a", 120.0, True), Cause("b", 230.0, True, 100.0, True)
    assert diagnose(1000.0, 600.0, [one_sided, two_sided]).shortest == (one_sided,)
    assert diagnose(1000.0, 700.0, [one_sided]).shortest == ()


def test_the_sentences_name_causes_factors_and_the_list() -> None:
    product, shortest = describe_diagnosis(diagnose(1000.0, 300.0, [MEMORY, CONVOLUTION]), "Lucid", "PyTorch")
    assert product == (
        "Lucid over PyTorch, 3.33x, by cause: torch convolution (tested) 2.00x, "
        "kept memory (predicted) 1.25x, the rest 1.33x."
    )
    assert (
        shortest == f"The shortest way to within {CLOSE}x: torch convolution (tested), then kept memory (predicted)."
    )
    _, close = describe_diagnosis(diagnose(1000.0, 700.0, [MEMORY]), "Lucid", "PyTorch")
    assert close == "The ratio is within 1.5x without any change."
    _, none = describe_diagnosis(diagnose(1000.0, 100.0, [MEMORY, CONVOLUTION]), "Lucid", "PyTorch")
    assert none == "All of these changes together would leave 4.00x; no list of them comes within 1.5x."


@pytest.mark.parametrize(
    ("is_tested", "on_fast", "words"),
    [
        (True, None, "tested"),
        (False, None, "predicted"),
        (True, True, "tested on both sides"),
        (False, False, "predicted on both sides"),
        (True, False, "tested, on the faster side predicted"),
        (False, True, "predicted, on the faster side tested"),
    ],
)
def test_a_cause_says_what_was_measured(is_tested: bool, on_fast: bool | None, words: str) -> None:
    assert name_cause(Cause("kept_memory", 1.0, is_tested, 0.5, on_fast)) == f"kept memory ({words})"

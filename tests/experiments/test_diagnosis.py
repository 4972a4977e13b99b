import math

import pytest

from epoch_gap.profiler.experiments.diagnosis import CLOSE, Cause, diagnose
from epoch_gap.reports.sentences.experiments import describe_diagnosis

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
    assert "no tested change makes Lucid faster" in line


def test_the_sentences_name_causes_factors_and_the_list() -> None:
    product, shortest = describe_diagnosis(diagnose(1000.0, 300.0, [MEMORY, CONVOLUTION]), "Lucid", "PyTorch")
    assert product == (
        "Lucid over PyTorch, 3.33x, by cause: torch convolution (tested) 2.00x, "
        "kept memory (predicted) 1.25x, the rest 1.33x."
    )
    assert (
        shortest == f"The shortest way to within {CLOSE}x: torch convolution (tested), then kept memory (predicted)."
    )
    _, none = describe_diagnosis(diagnose(1000.0, 100.0, [MEMORY, CONVOLUTION]), "Lucid", "PyTorch")
    assert none == "All of these changes together would leave 4.00x; no list of them comes within 1.5x."

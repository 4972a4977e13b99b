import math

import pytest

from epoch_gap.profiler.experiments.losses import check_losses
from tests.helpers.runs import MakeRun

ALTERNATE = {"config": {"alternate": {"levels": [[], ["noop"]], "block": 2}}}
PLAIN = [2.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, 1.3]


def test_losses_that_must_stay_are_compared_bit_for_bit(make_run: MakeRun) -> None:
    plain = make_run([1.0] * 8, losses=PLAIN, **ALTERNATE)
    same = check_losses(plain, make_run([1.0] * 8, losses=PLAIN, **ALTERNATE), 0.0)
    assert same is not None
    assert (same.steps, same.difference, same.is_kept) == (8, 0.0, True)
    last = [*PLAIN[:-1], math.nextafter(PLAIN[-1], 2)]
    changed = check_losses(plain, make_run([1.0] * 8, losses=last, **ALTERNATE), 0.0)
    assert changed is not None
    assert not changed.is_kept


def test_a_tolerance_holds_for_the_first_step_with_the_intervention_on(make_run: MakeRun) -> None:
    plain = make_run([1.0] * 8, losses=PLAIN, **ALTERNATE)
    later = [*PLAIN[:2], PLAIN[2] * (1 + 1e-6), *[9.0] * 5]
    found = check_losses(plain, make_run([1.0] * 8, losses=later, **ALTERNATE), 1e-5)
    assert found is not None
    assert found.steps == 1
    assert found.difference == pytest.approx(1e-6, rel=1e-3)
    assert found.is_kept
    process = check_losses(make_run([1.0] * 4, losses=PLAIN[:4]), make_run([1.0] * 4, losses=[2.1, 9, 9, 9]), 1e-5)
    assert process is not None
    assert not process.is_kept
    assert process.difference == pytest.approx(0.05)


def test_losses_that_may_change_or_were_not_read_are_not_compared(make_run: MakeRun) -> None:
    plain = make_run([1.0] * 4, losses=PLAIN[:4])
    unread = make_run([1.0] * 4, losses=[math.nan] * 4)
    assert check_losses(plain, unread, 0.0) is None
    assert check_losses(plain, plain, None) is None

"""The gate's rates, from comparisons with known intervals."""

from dataclasses import replace
from pathlib import Path

import pytest

from epoch_gap.profiler.comparison.identity import machine_key
from epoch_gap.profiler.comparison.qualification import applicable_qualification, measure_rates
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.qualification_store import (
    QUALIFICATION_JSON,
    Qualification,
    Trial,
    load_qualifications,
    save_qualification,
)
from epoch_gap.reports.sentences.gate import describe_qualification
from epoch_gap.reports.terminal.qualification import qualification_table
from tests.helpers.runs import MakeRun


def trial(slowdown: float, low: float | None, *, ratio: float = 1.05, is_clear: bool = True) -> Trial:
    high = None if low is None else 2 * ratio - low
    return Trial(slowdown=slowdown, planted=slowdown, ratio=ratio, low=low, high=high, is_difference_clear=is_clear)


NO_OPS = [trial(0.0, 0.99, ratio=1.0)] * 19 + [trial(0.0, 1.01, ratio=1.03)]
FIVE = [trial(0.05, 1.03)] * 16 + [trial(0.05, 0.99), trial(0.05, None), trial(0.05, 1.03, is_clear=False)]
FOUND = Qualification(
    framework="fake",
    version="1",
    device="cpu",
    batch_size=10,
    data="cifar10",
    phase="forward",
    rounds=3,
    steps=8,
    day="2026-11-29",
    trials=(*NO_OPS, *FIVE),
)


@pytest.mark.parametrize(
    ("allowed", "floor", "alarms", "found"),
    [(0.0, None, 1, 16), (0.02, None, 0, 16), (0.04, None, 0, 0), (0.0, 0.04, 0, 16), (0.0, 0.06, 0, 0)],
)
def test_the_rates_are_those_of_the_gate_with_this_allowance_and_this_floor(
    allowed: float, floor: float | None, alarms: int, found: int
) -> None:
    no_op, five = measure_rates(FOUND, allowed, floor)
    assert (no_op.slowdown, no_op.failed, no_op.trials) == (0.0, alarms, 20)
    assert (five.slowdown, five.failed, five.trials) == (0.05, found, 19)


def test_the_sentence_has_the_counts_with_binomial_intervals() -> None:
    assert describe_qualification(FOUND, 0.02, None) == (
        "On this machine the gate, which allows 2 %, gave 0 false alarms in 20 no-op comparisons (95 % 0 to 16 %) "
        "and found a slowdown of 5 % in 16 of 19 (95 % 62 to 94 %); 3 rounds each, 2026-11-29."
    )
    assert "1 false alarm in 20" in describe_qualification(FOUND, 0.0, None)
    assert "qualify` measures it" in describe_qualification(None, 0.0, None)


def test_an_interrupted_qualification_says_what_it_has() -> None:
    alone = describe_qualification(replace(FOUND, trials=(NO_OPS[0],)), 0.02, None)
    assert "gave 0 false alarms in 1 no-op comparison (95 % 0 to 79 %); 3 rounds each" in alone


def test_the_table_has_a_row_per_slowdown_and_the_share_that_was_planted() -> None:
    trials = [replace(t, planted=0.05 + 0.001 * i) for i, t in enumerate(FIVE)]
    lines = qualification_table(replace(FOUND, trials=(*NO_OPS, *trials)), None).splitlines()
    none, five = (next(line for line in lines if line.startswith(name)) for name in ("none", "5.0 %"))
    assert "5.0 % to 6.8 %" in five
    assert "1 of 20 (1 to 24 %)" in none
    assert "16 of 19" in five


def test_a_stored_qualification_reads_back_and_replaces_only_its_own(tmp_path: Path) -> None:
    assert load_qualifications(tmp_path) == {}
    other = replace(FOUND, batch_size=20)
    for machine, one in (("here", FOUND), ("here", other), ("there", FOUND), ("here", replace(FOUND, steps=9))):
        save_qualification(tmp_path, machine, one)
    stored = load_qualifications(tmp_path)
    assert stored["here"] == {FOUND.key: replace(FOUND, steps=9), other.key: other}
    assert stored["there"] == {FOUND.key: FOUND}


@pytest.mark.parametrize("text", ["{", "[1]", '{"here": {"key": {"framework": "fake"}}}', '{"here": 3}'])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / QUALIFICATION_JSON).write_text(text)
    with pytest.raises(UserError) as error:
        load_qualifications(tmp_path)
    assert QUALIFICATION_JSON in str(error.value)
    assert "\n" not in str(error.value)


def test_it_applies_to_runs_of_its_workload_on_its_machine(make_run: MakeRun) -> None:
    run, other = make_run([1.0] * 5), make_run([1.0] * 5, framework={"device": "gpu"})
    known = {machine_key(run.manifest): {FOUND.key: FOUND}}
    assert applicable_qualification(known, [run, run]) == FOUND
    assert applicable_qualification(known, [run, other]) is None
    assert applicable_qualification({"elsewhere": {FOUND.key: FOUND}}, [run]) is None


def test_it_does_not_apply_to_another_network(make_run: MakeRun) -> None:
    plain, lenet = make_run([1.0] * 5), make_run([1.0] * 5, config={"model": "lenet5", "image_size": 40})
    other = replace(FOUND, model="lenet5", image_size=40)
    known = {machine_key(plain.manifest): {FOUND.key: FOUND}}
    assert applicable_qualification(known, [lenet]) is None
    both = {machine_key(plain.manifest): {FOUND.key: FOUND, other.key: other}}
    assert [applicable_qualification(both, [run]) for run in (plain, lenet)] == [FOUND, other]
    assert "fake 1 (cpu, lenet5, 40x40), batch 10" in qualification_table(other, None)

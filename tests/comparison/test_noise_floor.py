from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.comparison.gap import measure_gap, measure_gaps
from epoch_gap.profiler.comparison.identity import machine_key
from epoch_gap.profiler.comparison.noise_floor import measure_noise_floor
from epoch_gap.profiler.comparison.spread_history import applicable_floor
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor, load_noise_floors, save_noise_floor
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.sentences.verdict import describe_noise_floor
from tests.helpers.runs import MakeRun
from tests.helpers.views import build_view

FAKE = NoiseFloor("fake", "cpu", 10, "cifar10", 0.03, 1.01, "equal", 6, "2026-11-24")
NAME = FAKE.key


def noisy(mean: float, seed: int) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, 0.01 * mean, 20))


def pairs(make_run: MakeRun, a: list[float], b: list[float]) -> list[Run]:
    """Alternating processes whose steps take these seconds, on average."""
    return [
        make_run(noisy(seconds, 10 * i + j), config={"label": label})
        for i, both in enumerate(zip(a, b, strict=True))
        for j, (label, seconds) in enumerate(zip("AB", both, strict=True))
    ]


def test_the_floor_is_half_the_interval_of_a_against_a(make_run: MakeRun) -> None:
    g = measure_gaps(group_runs(pairs(make_run, [1.0, 1.01, 0.99], [1.005, 0.99, 1.0])))[0]
    found = measure_noise_floor(g)
    assert g.ratio.low is not None
    assert g.ratio.high is not None
    assert found.share == pytest.approx((g.ratio.high - g.ratio.low) / 2)
    assert (found.framework, found.processes, found.verdict) == ("fake", 6, g.verdict)
    assert g.verdict in ("equal", "undecided")


def test_a_difference_between_a_and_a_is_noise_however_narrow_its_interval(make_run: MakeRun) -> None:
    g = measure_gaps(group_runs(pairs(make_run, [1.08, 1.08, 1.08], [1.0, 1.0, 1.0])))[0]
    assert g.verdict == "slower"
    assert measure_noise_floor(g).share == pytest.approx(0.08, abs=0.01)


def test_one_value_per_side_gives_no_floor(make_run: MakeRun) -> None:
    with pytest.raises(UserError, match="two pairs"):
        measure_noise_floor(measure_gaps(group_runs([make_run([1.0], config={"label": label}) for label in "AB"]))[0])


def test_an_effect_below_the_floor_is_not_claimed(make_run: MakeRun) -> None:
    a, b = group_runs(
        [
            make_run(noisy(mean, seed), config={"label": label}, full_epoch={"train_images": 1000})
            for mean, seed, label in ((1.04, 1, "A"), (1.0, 2, "B"))
        ]
    )
    assert measure_gap(a, b).verdict == "slower"
    assert replace(measure_gap(a, b), floor=0.02).verdict == "slower"
    low = replace(measure_gap(a, b), floor=0.06)
    assert (low.verdict, low.is_below_floor) == ("undecided", True)


def test_the_largest_floor_of_the_machine_applies_and_none_of_another(make_run: MakeRun) -> None:
    run = make_run([1.0] * 6)
    here = machine_key(run.manifest)
    assert applicable_floor({}, [run]) is None
    assert applicable_floor({"elsewhere": {NAME: FAKE}}, [run]) is None
    assert applicable_floor({here: {NAME: FAKE}}, [run]) == FAKE
    for change in ({"framework": "torch"}, {"batch_size": 4}, {"data": "synthetic"}):
        another = replace(FAKE, share=0.5, **change)
        assert applicable_floor({here: {NAME: FAKE, another.key: another}}, [run]) == FAKE
        assert applicable_floor({here: {another.key: another}}, [run]) is None
    other = make_run([1.0] * 6, environment={"machine": {"cpu": "another", "cores_usable": 2, "system": "Test 1"}})
    assert applicable_floor({here: {NAME: FAKE}}, [run, other]) is None


def test_a_floor_with_interventions_applies_to_runs_that_have_them(make_run: MakeRun, tmp_path: Path) -> None:
    plain, one, two = (
        make_run([1.0] * 6, config={"switches": switches}) for switches in ([], ["noop"], ["threads=1"])
    )
    switched = replace(FAKE, share=0.01, switches=("noop",))
    here = machine_key(plain.manifest)
    for floor in (FAKE, switched):
        save_noise_floor(tmp_path, here, floor)
    floors = load_noise_floors(tmp_path)
    assert applicable_floor(floors, [plain]) == FAKE
    assert applicable_floor(floors, [one]) == switched
    assert applicable_floor(floors, [two]) == FAKE, "the best that is known"
    assert applicable_floor(floors, [plain, one]) == FAKE, "the larger one"
    assert applicable_floor({here: {switched.key: switched}}, [plain]) is None
    assert "fake (cpu, noop) against itself" in describe_noise_floor(switched)


def test_the_floor_of_runs_with_interventions_names_them(make_run: MakeRun) -> None:
    runs = [make_run(noisy(1.0, i), config={"label": label, "switches": ["noop"]}) for i, label in enumerate("ABAB")]
    assert measure_noise_floor(measure_gaps(group_runs(runs))[0]).switches == ("noop",)


def test_each_pair_is_judged_by_its_own_floor(make_run: MakeRun) -> None:
    """The default allocator is noisy here; the pair that keeps memory is not judged by its floor."""
    config, whole = {"framework": "fake"}, {"train_images": 1000}
    runs = [
        make_run(noisy(mean, seed), config={**config, "label": label, "allocator": allocator}, full_epoch=whole)
        for seed, (mean, label, allocator) in enumerate(
            [(1.04, "A", "default"), (1.0, "B", "default"), (1.04, "A", "keep"), (1.0, "B", "keep")]
        )
    ]
    noisy_floor, quiet_floor = replace(FAKE, share=0.5), replace(FAKE, share=0.01, keeps_memory=True)
    floors = {machine_key(runs[0].manifest): {floor.key: floor for floor in (noisy_floor, quiet_floor)}}
    found = {gap.slow.manifest.keeps_memory: gap for gap in build_view(runs, floors).gaps[:2]}
    assert (found[False].floor, found[True].floor) == (0.5, 0.01)
    assert (found[False].verdict, found[True].verdict) == ("undecided", "slower")


def test_a_report_shows_the_floor_or_how_to_measure_it(make_run: MakeRun) -> None:
    whole = {"train_images": 1000}
    runs = [
        make_run(noisy(s, seed), config={"label": f"{s}"}, full_epoch=whole)
        for seed in range(3)
        for s in (1.0, 1.028)
    ]
    assert "`make noise`" in build_view(runs).floor
    view = build_view(runs, {machine_key(runs[0].manifest): {NAME: FAKE}})
    assert "\N{PLUS-MINUS SIGN}3.0 %" in view.floor
    assert view.summary["gaps"][0]["noise_floor"] == 0.03
    assert view.summary["gaps"][0]["verdict"] == "undecided"
    assert "undecided, less than this machine's noise floor of 3.0 %" in view.verdict

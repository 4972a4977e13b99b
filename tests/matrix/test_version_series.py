"""Changes from version to version, on runs with known times."""

from dataclasses import replace

import numpy as np
import pytest

from epoch_gap.profiler.comparison.gap import Verdict
from epoch_gap.profiler.comparison.identity import machine_key
from epoch_gap.profiler.comparison.spread import Basis
from epoch_gap.profiler.drilldown.spans import Direction
from epoch_gap.profiler.matrix.layer_changes import layer_changes
from epoch_gap.profiler.matrix.version_series import VersionSeries, build_series
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.sentences.matrix import describe_finding, describe_interval, describe_phases, describe_result
from tests.helpers.drilldowns import CONDITIONS, drilldown
from tests.helpers.runs import MakeRun
from tests.helpers.version_runs import STEADY, runs_of_versions, with_longer

LEVEL = {"1": 1.0, "2": 1.0, "3": 1.0, "4": 1.0, "5": 1.0, "6": 1.0}
STEPS = {**LEVEL, "4": 1.2, "5": 1.2, "6": 1.1}


def series_of(runs: list[Run]) -> VersionSeries:
    (series,) = build_series(runs, [], {}, {})
    return series


def test_only_versions_at_which_the_epoch_changes_are_shown(make_run: MakeRun) -> None:
    series = series_of(runs_of_versions(make_run, STEPS))
    assert [version.framework.version for version in series.versions] == list("123456")
    assert [change.is_shown for change in series.changes] == [False, False, True, False, True]
    up, down = series.shown
    assert up.gap.ratio.value == pytest.approx(1.2, rel=0.01)
    assert down.gap.ratio.value == pytest.approx(1.1 / 1.2, rel=0.01)
    assert describe_finding(series) == "Fake (cpu), batch 10, 1 to 6: 19.1 % slower in 4, 8.0 % faster in 6."
    assert [describe_result(change) for change in series.changes[:3]] == ["equal within 2 %"] * 2 + ["19.1 % slower"]
    assert series.overall is not None
    assert series.overall.verdict is Verdict.SLOWER


def test_without_a_change_the_finding_says_so(make_run: MakeRun) -> None:
    series = series_of(runs_of_versions(make_run, LEVEL))
    assert series.shown == []
    assert describe_finding(series).endswith("1 to 6: no change from one version to the next is shown.")
    alone = series_of(runs_of_versions(make_run, {"1": 1.0}))
    assert describe_finding(alone).endswith("only 1 has complete runs, so there is nothing to compare it with.")


def test_the_spread_is_pooled_with_that_of_the_other_versions_two_by_two(make_run: MakeRun) -> None:
    series = series_of(runs_of_versions(make_run, LEVEL))
    assert series.changes[0].gap.basis == Basis(3, 6, 2)
    text = describe_interval(series.changes[0])
    assert text.endswith("between 3 rounds, with the spread of 6 rounds of 2 other pairs of versions pooled")
    two = series_of(runs_of_versions(make_run, {"1": 1.0, "2": 1.0}))
    assert two.changes[0].gap.basis == Basis(3)


def test_versions_that_take_another_time_do_not_lend_their_spread(make_run: MakeRun) -> None:
    series = series_of(runs_of_versions(make_run, {"1": 1.0, "2": 1.0, "3": 5.0, "4": 5.0}))
    assert [change.gap.basis for change in series.changes] == [Basis(3)] * 3


def test_a_single_process_of_each_version_shows_nothing(make_run: MakeRun) -> None:
    series = series_of(runs_of_versions(make_run, STEPS, repeats=(0.0,)))
    assert series.shown == []
    assert {describe_result(change) for change in series.changes} == {"undecided"}
    assert "spread between processes: not known" in describe_interval(series.changes[2])


def test_a_change_within_the_noise_floor_is_not_shown(make_run: MakeRun) -> None:
    runs = runs_of_versions(make_run, STEPS)
    floor = NoiseFloor("fake", "cpu", 10, "cifar10", 0.15, 1.0, "equal", 4, "2026-11-24")
    (series,) = build_series(runs, [], {machine_key(runs[0].manifest): {"fake-cpu-batch-10-cifar10": floor}}, {})
    assert [change.is_shown for change in series.changes] == [False, False, True, False, False]
    assert describe_result(series.changes[4]) == "undecided: within the noise floor of 15.0 %"


def test_comparisons_share_an_error_of_5_percent(make_run: MakeRun) -> None:
    """A difference that two versions alone show is not shown among many that are equal."""
    noise = [(0.000, 0.010, 0.020), (0.010, 0.000, 0.005), (0.004, 0.013, -0.002), (0.012, 0.001, 0.009)]
    runs = [
        run
        for n, (version, factor) in enumerate({"1": 1.0, "2": 1.033, "3": 1.033, "4": 1.033}.items())
        for run in runs_of_versions(make_run, {version: factor}, noise[n])
    ]
    together, alone = series_of(runs), series_of(runs[:6])
    assert together.changes[0].gap.is_clear
    assert not together.changes[0].is_shown
    assert "not together with the other comparisons" in describe_result(together.changes[0])
    assert not alone.changes[0].is_shown or alone.changes[0].gap.is_clear


def test_a_change_names_the_phase_that_changed_and_no_other(make_run: MakeRun) -> None:
    runs = runs_of_versions(make_run, {"1": 1.0, "2": 1.0, "3": 1.0, "4": 1.0})
    later = [with_longer(run, Phase.BACKWARD, 1.2) if run.framework.version in "34" else run for run in runs]
    (change,) = series_of(later).shown
    assert change.after.framework.version == "3"
    assert [phase for phase, _ in change.phases] == [Phase.BACKWARD]
    assert change.phases[0][1].value == pytest.approx(0.2 * 0.75 * 10.4, rel=0.02)


VARYING = [(0.8, 1.0, 1.2), (1.2, 0.8, 1.0), (1.0, 1.2, 0.8), (0.8, 1.2, 1.0)]
"""factors of `backward`, by version and repeat"""


def test_a_phase_can_change_beyond_doubt_while_the_epoch_varies_too_much(make_run: MakeRun) -> None:
    factors = [factor for of_version in VARYING for factor in of_version]
    runs = [
        with_longer(run, Phase.BACKWARD, factor)
        for run, factor in zip(runs_of_versions(make_run, dict.fromkeys("1234", 1.0)), factors, strict=True)
    ]
    later = [with_longer(run, Phase.FORWARD, 1.3) if run.framework.version in "34" else run for run in runs]
    assert not any(change.phases for change in series_of(runs).changes)
    series = series_of(later)
    assert series.shown == []
    changed = [[phase for phase, _ in change.phases] for change in series.changes]
    assert changed == [[], [Phase.FORWARD], []]
    assert "no change of the total from one version to the next is shown; forward +" in describe_finding(series)
    assert describe_phases(series.changes[1]) in describe_finding(series)


def test_phases_of_equal_versions_share_an_error_of_5_percent(make_run: MakeRun) -> None:
    """In 40 series of four versions with three pairs of two phases each, at most 5 name a phase (p = 0.01 at 5 %)."""
    random = np.random.default_rng(20261129)
    runs = runs_of_versions(make_run, dict.fromkeys("1234", 1.0))
    named = 0
    for _ in range(40):
        series = series_of(
            [
                with_longer(
                    with_longer(run, Phase.BACKWARD, random.normal(1, 0.1)), Phase.FORWARD, random.normal(1, 0.1)
                )
                for run in runs
            ]
        )
        named += any(change.phases for change in series.changes if not change.is_shown)
    assert named <= 5


def test_versions_that_did_not_alternate_are_not_paired_and_the_page_says_so(make_run: MakeRun) -> None:
    runs = runs_of_versions(make_run, {"1": 1.0}) + runs_of_versions(make_run, {"2": 1.2}, session="later")
    (change,) = series_of(runs).changes
    assert change.shares_no_session
    assert not change.gap.pairing.is_paired
    assert "no runs of one session" in describe_interval(change)
    assert "no runs of one session" not in describe_interval(
        series_of(runs[:3] + runs_of_versions(make_run, {"2": 1.2})).changes[0]
    )


def test_runs_under_other_conditions_are_another_series(make_run: MakeRun) -> None:
    runs = runs_of_versions(make_run, {"1": 1.0, "2": 1.0}, (0.0, 0.003))
    others = [make_run(STEADY, images=[5] * 10, config={"batch_size": 5}, framework={"version": v}) for v in "12"]
    found = build_series([*runs, *others], [], {}, {})
    assert [(one.first.batch_size, len(one.versions)) for one in found] == [(10, 2), (5, 2)]


def test_a_run_without_a_full_step_is_left_out_with_the_reason(make_run: MakeRun) -> None:
    runs = [*runs_of_versions(make_run, {"1": 1.0}), make_run([1.0], images=[4], framework={"version": "2"})]
    skipped: dict[str, str] = {}
    (series,) = build_series(runs, [], {}, skipped)
    assert [len(version.runs) for version in series.versions] == [3]
    assert "no full training step" in skipped[runs[-1].id]


def test_layers_of_both_versions_are_compared_and_the_newest_of_a_version_counts(make_run: MakeRun) -> None:
    runs = runs_of_versions(make_run, {"1": 1.0, "2": 1.3})
    conditions = [
        replace(CONDITIONS, batch_size=10, framework=replace(CONDITIONS.framework, version=v)) for v in ("1", "2")
    ]
    layers = [
        drilldown({"stem.conv": 1.0, "fc": 0.5}, {"stem.conv": 2.5, "fc": 0.5}, conditions[1]),
        drilldown({"stem.conv": 9.0}, {}, conditions[1]),
        drilldown({"stem.conv": 1.0, "fc": 0.5}, {"stem.conv": 1.5, "fc": 0.6}, conditions[0]),
    ]
    (series,) = build_series(runs, layers, {}, {})
    (change,) = series.changes
    largest = change.layers[0]
    assert (largest.layer, largest.direction) == ("stem.conv", Direction.BACKWARD)
    assert largest.seconds.value == pytest.approx(1.0)
    assert len(change.layers) == 4
    (without,) = build_series(runs, layers[:1], {}, {})
    assert without.changes[0].layers == ()


def test_the_interval_of_a_layers_change_knows_the_steps_of_both_drilldowns() -> None:
    before, after = drilldown({"stem.conv": 1.0}, {"fc": 2.0}), drilldown({"stem.conv": 1.5}, {"fc": 2.0})
    first, second = layer_changes(before, after)
    assert (first.layer, first.seconds.value) == ("stem.conv", pytest.approx(0.5))
    assert first.seconds.excludes(0), "all steps took the same time"
    assert not second.seconds.excludes(0)

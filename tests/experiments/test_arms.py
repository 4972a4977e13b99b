from collections import Counter

import numpy as np
import pytest

from epoch_gap.profiler.analysis.stats import total
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.experiments.arms import follows_a_switch, level_of, levels_of
from epoch_gap.profiler.experiments.effect import effect_of_levels
from epoch_gap.profiler.experiments.level_times import measure_evaluation_levels, measure_levels
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.manifest import Alternation
from tests.helpers.runs import MakeRun

ON_OFF = Alternation(levels=((), ("noop",)), block=2)
DOSES = Alternation(levels=((), ("delay=1",), ("delay=2",), ("delay=4",)), block=1, seed=42)
CONFIG = {"alternate": {"levels": [[], ["noop"]], "block": 2}}


def test_blocks_follow_a_b_b_a() -> None:
    assert [level_of(ON_OFF, step) for step in range(16)] == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0]


def test_the_first_step_after_each_switch_is_excluded() -> None:
    follows = follows_a_switch(ON_OFF, np.arange(12))
    assert list(np.flatnonzero(follows)) == [0, 2, 6, 10]


def test_every_group_has_each_dose_once_in_an_order_of_the_seed() -> None:
    levels = levels_of(DOSES, np.arange(400))
    assert Counter(levels.tolist()) == {0: 100, 1: 100, 2: 100, 3: 100}
    groups = levels.reshape(100, 4)
    assert all(sorted(group) == [0, 1, 2, 3] for group in groups.tolist())
    assert len({tuple(group) for group in groups.tolist()}) > 15
    other = Alternation(levels=DOSES.levels, block=1, seed=43)
    assert list(levels_of(other, np.arange(400))) != list(levels)
    assert list(levels_of(DOSES, np.arange(400))) == list(levels)


def test_times_are_means_of_the_steps_that_count(make_run: MakeRun) -> None:
    """A step takes 1 s off and 3 s on; the first after each switch, and the first pair, are wildly off."""
    levels = levels_of(ON_OFF, np.arange(12))
    seconds = np.where(levels == 1, 3.0, 1.0)
    seconds[follows_a_switch(ON_OFF, np.arange(12))] = 50.0
    seconds[:4] = 70.0
    times = measure_levels(make_run(seconds.tolist(), config=CONFIG))
    assert times.step == pytest.approx(np.array([[1.0, 3.0], [1.0, 3.0]]))
    assert times.phases[Phase.FORWARD] == pytest.approx(np.array([[0.25, 0.75]] * 2))
    assert times.differences()[Phase.BACKWARD] == pytest.approx([1.5, 1.5])
    assert times.steps_per_group == 4


def test_test_batches_have_levels_of_their_own(make_run: MakeRun) -> None:
    """A batch takes 1 s off and 3 s on; what does not count is wildly off."""
    levels = levels_of(ON_OFF, np.arange(12))
    seconds = np.where(levels == 1, 3.0, 1.0)
    seconds[follows_a_switch(ON_OFF, np.arange(12))] = 50.0
    seconds[:4] = 70.0
    alternate = {"alternate": {**CONFIG["alternate"], "evaluation": True}}
    times = measure_evaluation_levels(make_run([1.0] * 12, evaluation=seconds.tolist(), config=alternate))
    assert times is not None
    assert times.phases.keys() == {Phase.EVALUATE}
    assert times.step == pytest.approx(np.array([[1.0, 3.0], [1.0, 3.0]]))
    assert measure_evaluation_levels(make_run([1.0] * 12, evaluation=seconds[:11].tolist(), config=alternate)) is None
    assert measure_evaluation_levels(make_run([1.0] * 12, evaluation=seconds.tolist(), config=CONFIG)) is None


def test_the_evaluation_is_added_to_the_effect_with_an_error_of_its_own(make_run: MakeRun) -> None:
    levels = levels_of(ON_OFF, np.arange(20))
    steps, batches = np.where(levels == 1, 3.0, 1.0), np.where(levels == 1, 0.5, 1.0)
    steps[8:12] += [0, 0, 0, 0.4]
    batches[8:12] -= [0, 0, 0, 0.1]
    alternate = {"alternate": {**CONFIG["alternate"], "evaluation": True}}
    run = make_run(steps.tolist(), evaluation=batches.tolist(), config=alternate)
    training, evaluation = measure_levels(run), measure_evaluation_levels(run)
    effect = effect_of_levels(training, evaluation, [Phase.FORWARD, Phase.EVALUATE], 100, 20)
    parts = effect.together([Phase.FORWARD, Phase.BACKWARD]), effect.together([Phase.EVALUATE])
    assert [part.value for part in parts] == pytest.approx([100 * 2.1, -20 * 0.525])
    assert effect.epoch.value == pytest.approx(total(parts).value)
    assert effect.epoch.variance == pytest.approx(parts[0].variance + parts[1].variance)
    assert effect.unchanged == effect.together([Phase.BACKWARD])
    assert set(effect.phases) == {*training.phases, Phase.EVALUATE}


def test_a_run_that_is_too_short_or_did_not_alternate_is_refused(make_run: MakeRun) -> None:
    with pytest.raises(UserError, match="needs 12 at least"):
        measure_levels(make_run([1.0] * 11, config=CONFIG))
    with pytest.raises(UserError, match="no intervention alternated"):
        measure_levels(make_run([1.0] * 12))
    with pytest.raises(UserError, match="use longer blocks"):
        measure_levels(make_run([1.0] * 12, config={"alternate": {"levels": [[], ["noop"]], "block": 1}}))

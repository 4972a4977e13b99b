from pathlib import Path

import pytest

from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.records import Step
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.profiler.storage.writer import create_run
from epoch_gap.reports.export.summary import summarise
from epoch_gap.workloads.adapters.fake import Fake, parse_costs
from epoch_gap.workloads.registry import Options, build
from tests.helpers.clocks import TickingClock
from tests.helpers.fake_training import COSTS, scripted_run, train_into
from tests.helpers.recorded import RecordingSink
from tests.helpers.runs import manifest

MS = 1_000_000


def train(lazy: bool, costs: str = COSTS) -> RecordingSink:
    clock = TickingClock()
    sink = RecordingSink(clock)
    train_into(sink, clock, lazy, costs, images=25)
    return sink


def milliseconds(step: Step) -> dict[str, float]:
    return {str(phase): round(ns / MS, 1) for phase, ns in step.durations.items() if ns > 0.1 * MS}


def test_an_eager_fake_spends_the_scripted_cost_in_each_phase() -> None:
    sink = train(lazy=False)
    full, _, last_partial, evaluated = sink.kept
    script = {"fetch": 1, "collate": 2, "to_device": 4, "zero_grad": 5, "forward": 10, "backward": 20, "step": 6}
    assert milliseconds(full) == {**script, "metrics": 7}
    assert last_partial.images == 5
    assert milliseconds(last_partial) == {name: ms / 2 for name, ms in {**script, "metrics": 7}.items()}
    assert milliseconds(evaluated) == {"evaluate": 9}
    assert sink.ended[0].durations[Phase.EPOCH_START] == pytest.approx(3 * MS, rel=0.01)


def test_a_lazy_fake_spends_the_cost_at_the_next_wait() -> None:
    step = train(lazy=True).kept[0]
    assert milliseconds(step) == {
        "fetch": 1,
        "collate": 2,
        "to_device": 4,
        "zero_grad": 5,
        "materialize": 10,
        "step": 26,
        "metrics": 7,
    }


def test_only_a_lazy_fake_has_materialize() -> None:
    assert Phase.MATERIALIZE not in train(lazy=False).kept[0].durations
    assert Phase.MATERIALIZE in train(lazy=True).kept[0].durations


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_a_report_recovers_the_script(lazy: bool, tmp_path: Path) -> None:
    clock = TickingClock()
    full_epoch = {"train_images": 104, "test_images": 20}
    writer = create_run(tmp_path, manifest(full_epoch=full_epoch))
    train_into(writer, clock, lazy, COSTS, images=80)
    writer.finish("complete")

    subjects = group_runs([read_run(writer.path)])
    phases = summarise(subjects, [], [])["subjects"][0]["phases"]["asrun"]

    costs = {**parse_costs(COSTS)}
    if lazy:
        costs[Phase.MATERIALIZE] = costs.pop(Phase.FORWARD)
        costs[Phase.STEP] += costs.pop(Phase.BACKWARD)
    once = {Phase.EPOCH_START: 1.0, Phase.EVALUATE: 20 / 10}
    for phase, milliseconds in costs.items():
        assert phases[phase]["seconds"] == pytest.approx(once.get(phase, 104 / 10) * milliseconds / 1000, rel=0.02)


def test_costs_are_parsed() -> None:
    assert parse_costs("forward=10, step=0.5") == {Phase.FORWARD: 10.0, Phase.STEP: 0.5}
    assert parse_costs("") == {}


@pytest.mark.parametrize("text", ["forward", "forward=", "forwards=1", "forward=-1", "forward=nan", "other=1", "=3"])
def test_bad_costs_are_refused_in_one_line_that_quotes_them(text: str) -> None:
    with pytest.raises(UserError, match="--fake-costs") as error:
        parse_costs(text)
    assert text in str(error.value)


def test_work_that_no_step_waits_for_is_flushed_once_per_epoch() -> None:
    sink = train(lazy=True, costs="forward=10,step=2,flush=3,evaluate=9")
    assert sink.ended[0].durations[Phase.FLUSH] == pytest.approx((2 * 3 + 1.5) * MS, rel=0.01)
    assert all(Phase.FLUSH not in step.durations for step in sink.kept)
    assert milliseconds(sink.kept[-1]) == {"evaluate": 9}


def test_an_eager_framework_has_no_flush() -> None:
    assert Phase.FLUSH not in train(lazy=False).ended[0].durations
    with pytest.raises(UserError, match="flush is a phase of a lazy fake only"):
        Fake(1, 10, "flush=3")


def test_scripted_faults_and_system_time_are_found_in_their_phase(tmp_path: Path) -> None:
    run = scripted_run(tmp_path, lazy=False, system="forward=4,backward=6", faults="backward=300,step=20")
    fenced = run.train.where(run.train.fenced)
    assert len(fenced) > 0
    found = {
        str(phase): (int(usage.system_ns[0]), int(usage.minor_faults[0]))
        for phase, usage in fenced.phase_usage.items()
        if usage.system_ns[0] or usage.minor_faults[0]
    }
    assert found == {"forward": (4 * MS, 0), "backward": (6 * MS, 300), "step": (0, 20)}
    assert run.train.usage is not None
    assert set(run.train.usage.system_ns.tolist()) == {10 * MS}
    assert set(run.train.usage.minor_faults.tolist()) == {320}
    assert all(not usage.system_ns[~run.train.fenced].any() for usage in run.train.phase_usage.values())


def test_deferred_work_takes_its_faults_with_it(tmp_path: Path) -> None:
    script = {"system": "forward=4,backward=6", "faults": "forward=100,backward=300"}
    run = scripted_run(tmp_path, lazy=True, fence="alternate", **script)
    fenced = run.train.where(run.train.fenced)
    faults = {str(phase): int(usage.minor_faults[0]) for phase, usage in fenced.phase_usage.items()}
    assert {phase: n for phase, n in faults.items() if n} == {"forward": 100, "backward": 300}


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ({"system": "forward"}, "--fake-system: 'forward' is not PHASE=MILLISECONDS"),
        ({"faults": "forward=many"}, "--fake-faults: 'forward=many' is not PHASE=NUMBER"),
        ({"faults": "other=1"}, "--fake-faults: 'other=1': other cannot be scripted"),
        ({"faults": "forward=-1"}, "a number of page faults must be between 0 and 1000000000"),
    ],
)
def test_an_invalid_script_of_usage_is_refused_in_one_line(script: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Fake(42, 10, **script)


def test_it_states_a_version() -> None:
    assert build("fake", Options()).version == "1"
    assert build("fake", Options(version="2.0")).version == "2.0"
    with pytest.raises(UserError, match="--fake-version: torch has no scripted costs"):
        build("torch", Options(version="2.0"))

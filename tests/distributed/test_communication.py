"""Compute, wait, transfer and rest of every rank, against scripts in which they are known."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from epoch_gap.profiler.distributed.analysis import DistributedAnalysis, analyse_ranks
from epoch_gap.profiler.distributed.communication import COMMUNICATION, REST, TRANSFER, WAIT
from epoch_gap.profiler.distributed.training import group_ranks
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import CollectiveKind
from epoch_gap.profiler.storage.run import CollectiveTable, Run
from epoch_gap.reports.sentences.ranks import describe_conditions
from tests.helpers.ranks import BROADCAST_MS, MS, TRANSFER_MS, WORK, Script, late, simulate, without_collectives


def test_the_rank_that_is_not_late_waits_and_the_last_one_does_not() -> None:
    analysis = analyse_ranks(simulate(Script(delays={Phase.BACKWARD: late(1, 200)})))
    times = analysis.exposed[Phase.BACKWARD]
    assert (times.wait[0] == 200 * MS).all()
    assert (times.wait[1] == 0).all()
    assert (times.transfer == TRANSFER_MS * MS).all()
    assert (times.rest == 0).all()


def test_a_delay_before_the_forward_pass_is_waited_for_at_its_broadcast() -> None:
    """DDP broadcasts the buffers of batch normalisation at the start of forward: ranks meet there, too."""
    analysis = analyse_ranks(simulate(Script(delays={Phase.COLLATE: late(1, 200)})))
    assert (analysis.exposed[Phase.FORWARD].wait[0] == 200 * MS).all()
    assert (analysis.exposed[Phase.FORWARD].transfer == BROADCAST_MS * MS).all()
    assert (analysis.exposed[Phase.BACKWARD].wait == 0).all()


def test_the_parts_sum_to_every_phase_exactly() -> None:
    training = simulate(Script(ranks=5, noise=0.3, steps=300, delays={Phase.FORWARD: late(3, 40, 5)}))
    analysis = analyse_ranks(training)
    for place, (split, steps) in enumerate(zip(analysis.split, analysis.steps, strict=True)):
        parts = split.train.phase_ns
        assert (sum(parts.values()) == steps.wall_ns).all()
        assert all((ns >= 0).all() for ns in parts.values())
        held = sum(times.held[place] for times in analysis.exposed.values())
        assert (sum(parts[part] for part in COMMUNICATION) == held).all()
        for phase in (Phase.FORWARD, Phase.BACKWARD):
            times = analysis.exposed[phase]
            assert (
                parts[phase] + times.wait[place] + times.transfer[place] + times.rest[place] == steps.phase_ns[phase]
            ).all()
            assert (parts[phase] - (3 * MS if phase is Phase.BACKWARD else 0) >= 0).all()
        assert (parts[Phase.COLLATE] == steps.phase_ns[Phase.COLLATE]).all()


def test_what_is_left_of_a_phase_is_the_ranks_own_work() -> None:
    training = simulate(Script(delays={Phase.BACKWARD: late(1, 200)}))
    (first, second) = analyse_ranks(training).split
    for split, own_ms in ((first, 200), (second, 400)):
        assert (split.train.phase_ns[Phase.BACKWARD] == (own_ms + 3) * MS).all()
        assert (split.train.phase_ns[Phase.FORWARD] == WORK[Phase.FORWARD] * MS).all()


def test_communication_is_a_group_of_phases_in_the_epoch() -> None:
    analysis = analyse_ranks(simulate(Script(delays={Phase.BACKWARD: late(1, 200)}, noise=0.01)))
    waits = [epoch.phases[WAIT] for epoch in analysis.epochs]
    assert waits[0] is not None
    assert waits[1] is not None
    assert waits[0].value > 100 * max(waits[1].value, 1e-9) or waits[0].value > waits[1].value + 1.0
    for epoch in analysis.epochs:
        parts = [part.value for part in epoch.phases.values() if part is not None]
        assert abs(sum(parts) - epoch.total.value) < 1e-9
        assert {WAIT, TRANSFER, REST} <= {phase for phase, part in epoch.phases.items() if part is not None}


def test_buckets_have_their_hidden_waits_and_transfers_too() -> None:
    analysis = analyse_ranks(simulate(Script(delays={Phase.BACKWARD: late(1, 100)})))
    assert [round(bucket.transfer * 1e3, 3) for bucket in analysis.buckets] == [BROADCAST_MS, *[TRANSFER_MS] * 3]
    assert [round(bucket.wait * 1e3, 3) for bucket in analysis.buckets] == [0, 15, 35, 50]  # the mean of two ranks


def test_the_first_steps_whose_buckets_are_rebuilt_do_not_count() -> None:
    analysis = analyse_ranks(simulate(Script(steps=30)))
    assert analysis.arrivals is not None
    assert analysis.arrivals.steps.min() >= 2


def test_a_rank_without_times_leaves_the_runs_as_they_are_and_nobody_is_named() -> None:
    training = without_collectives(simulate(Script(delays={Phase.BACKWARD: late(1, 200)})), rank=1)
    analysis = analyse_ranks(training)
    assert analysis.arrivals is None
    assert analysis.split == training.runs
    assert analysis.blame.reason == "no times of the collectives of rank 1"


def test_a_step_without_the_times_of_all_ranks_is_dropped_and_counted() -> None:
    training = without_collectives(simulate(Script(steps=40)), rank=1, of_step=20)
    arrivals = analyse_ranks(training).arrivals
    assert arrivals is not None
    assert (len(arrivals.steps), arrivals.dropped) == (37, 1)
    assert 20 not in arrivals.steps


def with_no_sync(work_ms: float, drift_ms: float = 0) -> DistributedAnalysis:
    """A run in which the exchange, which also costs `work_ms` of work, was on and off in blocks of two: A B B A.

    Each step takes `drift_ms` longer than the one before.
    """
    alternate = {"levels": [[], ["no_sync"]], "block": 2}
    training = simulate(Script(steps=80, noise=0.01), config={"alternate": alternate})
    steps = np.arange(80)
    is_off, is_first = np.isin(steps % 8, [2, 3, 4, 5]), steps % 8 == 6
    saved = round((BROADCAST_MS + TRANSFER_MS + work_ms) * MS)
    runs = []
    for run in training.runs:
        phases = dict(run.train.phase_ns)
        drift = np.rint(steps * drift_ms * MS).astype(np.int64)
        phases[Phase.BACKWARD] = phases[Phase.BACKWARD] - np.where(is_off, saved, 0) + drift
        table = run.collectives
        is_broadcast = np.equal(table.kind, CollectiveKind.BROADCAST)
        table = table.where(~(is_off[table.step] | (is_broadcast & is_first[table.step]).astype(np.bool_)))
        train = replace(run.train, phase_ns=phases, wall_ns=sum(phases.values()))
        runs.append(replace(run, train=train, collectives=table))
    return analyse_ranks(group_ranks(runs))


def test_steps_without_the_exchange_tell_the_exposed_communication_too() -> None:
    analysis = with_no_sync(work_ms=0)
    assert analysis.exchange is not None
    assert analysis.exchange.longer.value == pytest.approx(0.014, abs=0.004)
    assert analysis.exchange.held.value > 0.014 - 1e-9


def test_work_that_the_exchange_makes_is_told_from_the_time_in_which_the_ranks_are_held() -> None:
    none, some = (with_no_sync(work_ms) for work_ms in (0, 30))
    assert none.exchange is not None
    assert some.exchange is not None
    assert some.exchange.held == none.exchange.held
    assert some.exchange.work.value - none.exchange.work.value == pytest.approx(0.030)
    assert some.exchange.longer.value == pytest.approx(some.exchange.held.value + some.exchange.work.value)


def test_a_machine_that_slows_down_does_not_change_what_the_exchange_costs() -> None:
    still, slowing = (with_no_sync(30, drift_ms).exchange for drift_ms in (0, 1))
    assert still is not None
    assert slowing is not None
    assert slowing.longer.value == pytest.approx(still.longer.value, abs=0.001)


def test_the_two_ways_to_time_communication_are_compared_with_their_uncertainty() -> None:
    """In the script, steps without the exchange save no waiting, which the hook counts."""
    waiting = with_no_sync(work_ms=0).exchange
    assert waiting is not None
    for work_ms, words in (
        (30, "with it the ranks also work 2"),
        (0, "the hook gives "),
        (-1e3 * waiting.work.value, "no difference is shown"),
    ):
        (line,) = (line for line in describe_conditions(with_no_sync(work_ms)) if "without the exchange" in line)
        assert words in line


def test_the_first_step_after_a_block_without_the_exchange_is_neither_counted_nor_missed() -> None:
    """DDP broadcasts no buffers before it."""
    analysis = with_no_sync(work_ms=0)
    assert analysis.arrivals is not None
    assert analysis.arrivals.dropped == 0
    assert analysis.blame.reason == ""


def with_timers(runs: Sequence[Run], ms: NDArray[np.float64]) -> DistributedAnalysis:
    """DDP's own timers, of which each step notes those of the one before: `ms` by step, on another clock."""
    found = []
    for run in runs:
        table = run.collectives
        noted = [
            (0, step, Phase.BACKWARD, CollectiveKind.TIMERS, 0, 10**18, 10**18 + round(ms[step - 1] * MS))
            for step in range(1, len(ms))
        ]
        rows = zip(*(getattr(table, column.name).tolist() for column in fields(table)), strict=True)
        collectives = CollectiveTable.from_rows(sorted([*rows, *noted], key=lambda row: row[:2]))
        found.append(replace(run, collectives=collectives))
    return analyse_ranks(group_ranks(found))


def test_ddps_own_timers_are_compared_with_the_arrivals() -> None:
    training = simulate(Script(steps=40))
    analysis = with_timers(training.runs, np.full(40, float(TRANSFER_MS)))
    assert np.array(analysis.timers) == pytest.approx(np.full((2, 2), TRANSFER_MS / 1e3))
    assert analyse_ranks(training).timers == ()


def test_timers_that_a_step_without_the_exchange_repeats_do_not_count() -> None:
    """DDP reads its timers in steps with the exchange only, so the last step before a block has none."""
    steps = np.arange(80)
    before_a_block = steps % 8 == 1
    analysis = with_timers(with_no_sync(work_ms=0).training.runs, np.where(before_a_block, 1000.0, TRANSFER_MS))
    assert [timers for _, timers in analysis.timers] == pytest.approx([TRANSFER_MS / 1e3] * 2)

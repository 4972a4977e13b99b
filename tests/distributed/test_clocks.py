"""Ranks with one clock and with several: offsets are estimated with their error, and blame below it is refused."""

import pytest

from epoch_gap.profiler.distributed.analysis import analyse_ranks
from epoch_gap.profiler.distributed.straggler import Pattern
from epoch_gap.profiler.phases import Phase
from tests.helpers.ranks import MS, TRANSFER_MS, Script, late, simulate

TWO_HOSTS = ("a", "b")


def test_ranks_of_one_boot_share_a_clock() -> None:
    arrivals = analyse_ranks(simulate(Script())).arrivals
    assert arrivals is not None
    assert arrivals.error_ns == 0


def test_the_offset_of_another_hosts_clock_is_found_within_its_error() -> None:
    script = Script(noise=0.02, steps=130, boots=TWO_HOSTS, offset_ms={1: 3_600_000.0})
    one_clock = Script(noise=0.02, steps=130)
    found, truth = (analyse_ranks(simulate(s)).arrivals for s in (script, one_clock))
    assert found is not None
    assert truth is not None
    assert found.error_ns is not None
    assert 0 < found.error_ns <= TRANSFER_MS * MS
    assert abs(found.ready_ns[1] - truth.ready_ns[1]).max() <= found.error_ns


def test_a_late_rank_of_another_host_is_blamed_if_it_is_later_than_the_error() -> None:
    delays = {Phase.BACKWARD: late(1, 200)}
    analysis = analyse_ranks(simulate(Script(noise=0.01, boots=TWO_HOSTS, offset_ms={1: -70.0}, delays=delays)))
    assert analysis.blame.straggler is not None
    assert (analysis.blame.straggler.rank, analysis.blame.cause) == (1, Phase.BACKWARD)
    assert abs(analysis.blame.straggler.cost.value - 0.2) < TRANSFER_MS / 1e3


def test_blame_below_the_error_of_the_clocks_is_refused() -> None:
    work = Script(boots=TWO_HOSTS)
    for phase in work.own_ms:  # a step so short that the error of 7 ms matters
        work.own_ms[phase] = work.own_ms[phase] / 10
    blame = analyse_ranks(simulate(work)).blame
    assert blame.pattern is Pattern.UNKNOWN
    assert "their clocks may be" in blame.reason


def test_clocks_that_no_offset_brings_together_blame_nobody() -> None:
    training = simulate(Script(boots=TWO_HOSTS, delays={Phase.BACKWARD: late(1, 200)}))
    table = training.runs[1].collectives
    table.ready_ns[::2] += 10**12
    table.done_ns[::2] += 10**12
    blame = analyse_ranks(training).blame
    assert blame.reason == "the ranks have different clocks, and no offset between them fits all collectives"


@pytest.mark.parametrize("boots", [("", ""), ("a", "")])
def test_an_unknown_boot_is_another_clock(boots: tuple[str, ...]) -> None:
    arrivals = analyse_ranks(simulate(Script(boots=boots))).arrivals
    assert arrivals is not None
    assert arrivals.error_ns

"""The runs of one training, and which rank ended."""

from dataclasses import replace
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.shared.rank_runs import report_ranks
from epoch_gap.profiler.distributed.analysis import analyse_ranks
from epoch_gap.profiler.distributed.training import group_ranks
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.sentences.ranks import describe_ends
from tests.helpers.ranks import Script, simulate
from tests.helpers.runs import manifest


def ended(run: Run, status: RunStatus, finished: str | None = None, steps: int = 60) -> Run:
    """The run as if it had ended; without `finished`, as if its process had been killed."""
    stored = RunStatus.RUNNING if finished is None else status
    told = replace(run.manifest, status=stored, finished=finished)
    return replace(run, status=status, manifest=told, train=run.train.where(run.train.index < steps))


def test_runs_are_in_the_order_of_ranks() -> None:
    runs = simulate(Script(ranks=4)).runs
    assert group_ranks(runs[::-1]).ranks == (0, 1, 2, 3)


def test_runs_that_are_not_ranks_of_one_training_are_refused() -> None:
    runs = simulate(Script()).runs
    alone = replace(runs[0], manifest=replace(manifest(), id="alone"), id="alone")
    other = replace(runs[1], manifest=replace(runs[1].manifest, session="another"))
    with pytest.raises(UserError, match="alone is no rank"):
        group_ranks([alone])
    with pytest.raises(UserError, match="ranks of different trainings"):
        group_ranks([runs[0], other])
    with pytest.raises(UserError, match="are both rank 1 of one session"):
        group_ranks([*runs, replace(runs[1], id="copy")])


def test_the_rank_that_was_killed_ended_first() -> None:
    first, second = simulate(Script()).runs
    failed = ended(first, RunStatus.FAILED, "2026-11-29T12:00:00+00:00", steps=31)
    killed = ended(second, RunStatus.INTERRUPTED, steps=30)
    training = group_ranks([failed, killed])
    assert [*describe_ends(training)] == [
        "rank 0 ended after 31 stored training steps (failed)",
        "rank 1 ended first (its process was killed), after 30 stored training steps",
    ]
    assert not training.is_complete
    arrivals = analyse_ranks(training).arrivals
    assert arrivals is not None
    assert arrivals.steps.max() == 29  # what both have can be analysed


def test_a_training_that_completed_has_nothing_to_tell() -> None:
    training = simulate(Script())
    assert training.is_complete
    assert [*describe_ends(training)] == []


def test_a_rank_without_a_run_is_named_and_nobody_is_blamed() -> None:
    training = group_ranks(simulate(Script(ranks=3)).runs[:2])
    assert training.missing == (2,)
    assert next(describe_ends(training)) == "rank 2 has no stored run"
    assert analyse_ranks(training).blame.reason == "no run of rank 2 was stored"


def test_collectives_in_a_phase_that_a_loop_does_not_mark_blame_nobody() -> None:
    runs = []
    for run in simulate(Script()).runs:
        phases = dict(run.train.phase_ns)
        joined = {Phase("forward_backward"): phases.pop(Phase.FORWARD) + phases.pop(Phase.BACKWARD)}
        runs.append(replace(run, train=replace(run.train, phase_ns={**phases, **joined})))
    analysis = analyse_ranks(group_ranks(runs))
    assert analysis.arrivals is None
    assert analysis.blame.reason == "the ranks wait in forward and backward, which not all of them mark"


def test_a_training_without_a_step_is_refused_with_the_ends_of_its_ranks(tmp_path: Path) -> None:
    runs = [ended(run, RunStatus.INTERRUPTED, steps=0) for run in simulate(Script()).runs]
    with pytest.raises(UserError, match="no rank stored a training step: rank 0 ended first"):
        report_ranks(group_ranks(runs), tmp_path / "out")


def test_a_rank_without_a_step_is_shown_beside_one_that_has_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = simulate(Script()).runs
    report_ranks(group_ranks([first, ended(second, RunStatus.INTERRUPTED, steps=0)]), tmp_path / "out")
    assert "rank 1 ended first (its process was killed), after 0 stored" in capsys.readouterr().out

"""Ranks end to end: two processes of torchrun over gloo, what they store, and the verb that shows it.

How long anything takes is asserted nowhere: the machine may be busy.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared import rank_runs
from epoch_gap.profiler.distributed.analysis import analyse_ranks
from epoch_gap.profiler.distributed.communication import REST
from epoch_gap.profiler.distributed.training import DistributedTraining, group_ranks
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.collectives import CollectiveKind
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.workloads import registry
from tests.helpers.processes import run_ranks

STEPS = 6


def read_training(runs: Path) -> DistributedTraining:
    return group_ranks([read_run(path) for path in find_runs(runs)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The runs of two ranks whose collectives were timed, and what was printed."""
    runs = tmp_path_factory.mktemp("ranks")
    done = run_ranks(runs, 2, "--steps", str(STEPS), "--allow-busy")
    assert done.returncode == 0, done.stderr
    return runs, done.stdout


def test_each_rank_has_a_run_of_one_session_and_rank_0_prints_its_own(trained: tuple[Path, str]) -> None:
    runs, printed = trained
    training = read_training(runs)
    assert training.is_complete
    assert training.ranks == (0, 1)
    assert training.shares_a_clock
    assert len({run.manifest.session for run in training.runs}) == 1
    assert printed.split() == [str(training.runs[0].path)]
    for run in training.runs:
        assert len(run.train) == STEPS
        assert run.manifest.data.train_images == 30
        assert run.manifest.full_epoch.train_images == 25_000
        assert "gloo" in run.framework.conditions["distributed"]


def test_the_ranks_train_one_model_on_different_images(trained: tuple[Path, str]) -> None:
    first, second = read_training(trained[0]).runs
    assert first.train.loss.tolist() != second.train.loss.tolist()


def test_every_step_has_the_same_collectives_on_both_ranks(trained: tuple[Path, str]) -> None:
    training = read_training(trained[0])
    analysis = analyse_ranks(training)
    assert analysis.arrivals is not None
    kinds = [point.kind for point in analysis.arrivals.points]
    assert kinds[0] is CollectiveKind.BROADCAST
    assert set(kinds[1:]) == {CollectiveKind.ALL_REDUCE}
    gradients = sum(point.bytes for point in analysis.arrivals.points[1:])
    assert gradients == 4 * 11_173_962  # float32, each parameter once
    assert analysis.arrivals.error_ns == 0
    assert analysis.timers


def test_the_parts_of_real_steps_sum_exactly(trained: tuple[Path, str]) -> None:
    analysis = analyse_ranks(read_training(trained[0]))
    for split, steps in zip(analysis.split, analysis.steps, strict=True):
        assert (sum(split.train.phase_ns.values()) == steps.wall_ns).all()
        assert all((ns >= 0).all() for ns in split.train.phase_ns.values())
    for times in analysis.exposed.values():
        assert (times.wait.min(axis=0) == 0).all()  # the last rank does not wait


def test_the_losses_are_the_same_bits_without_the_hook(trained: tuple[Path, str], tmp_path: Path) -> None:
    done = run_ranks(tmp_path, 2, "--steps", str(STEPS), "--allow-busy", "--no-collectives")
    assert done.returncode == 0, done.stderr
    timed, plain = read_training(trained[0]), read_training(tmp_path)
    for one, other in zip(timed.runs, plain.runs, strict=True):
        assert np.array_equal(one.train.loss, other.train.loss)
        assert not len(other.collectives)
    assert analyse_ranks(plain).blame.reason == "no times of the collectives of rank 0, 1"


def test_the_verb_shows_the_newest_training_and_writes_its_page(
    trained: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["ranks", "--runs-dir", str(trained[0]), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "2 ranks" in printed
    assert "all ranks read one clock" in printed
    assert {path.name for path in out.iterdir()} == {"index.html", "ranks.png", "timeline.png", "trace.json"}
    events = json.loads((out / "trace.json").read_text())["traceEvents"]
    assert {event["pid"] for event in events} == {1, 2}


def test_a_report_of_frameworks_leaves_ranks_out(
    trained: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--runs-dir", str(trained[0]), "--out", str(tmp_path / "out")]) == 2
    assert "no run with a training step" in capsys.readouterr().err


def test_a_killed_rank_leaves_all_runs_readable_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run_ranks(tmp_path / "runs", 2, "--steps", "10", "--allow-busy", "--kill", "1:3")
    assert done.returncode != 0
    training = read_training(tmp_path / "runs")
    assert training.ranks == (0, 1)
    assert training.runs[1].status is RunStatus.INTERRUPTED
    assert training.runs[0].status is not RunStatus.COMPLETE
    assert len(training.runs[1].train) == 3
    name = training.runs[0].path.name
    words = ["ranks", name, "--runs-dir", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "rank 1 ended first (its process was killed), after 3 stored training steps" in printed
    assert "rank 0 ended after" in printed


def test_the_steps_without_synchronisation_leave_the_training_as_it_was(tmp_path: Path) -> None:
    """Blocks of steps whose gradients stay on their rank: between them, all is as if they had not been."""
    words = ["--alternate", "no_sync", "--alternate-block", "2", "--fence", "none"]
    done = run_ranks(tmp_path, 2, "--steps", "8", "--allow-busy", *words)
    assert done.returncode == 0, done.stderr
    training = read_training(tmp_path)
    for run in training.runs:
        reduced = {int(s) for s in run.collectives.step[run.collectives.kind == CollectiveKind.ALL_REDUCE]}
        assert reduced == {0, 1, 6, 7}  # A B B A
    assert all(run.config.alternate is not None for run in training.runs)


@pytest.mark.parametrize("phase", [Phase.BACKWARD, pytest.param(Phase.COLLATE, marks=pytest.mark.bench)])
def test_a_delay_of_one_rank_is_in_its_phase_and_the_other_one_waits(tmp_path: Path, phase: Phase) -> None:
    """The times are real, so nothing is asserted of the machine's own: only that the planted wait is there."""
    done = run_ranks(tmp_path, 2, "--steps", "8", "--allow-busy", "--late", f"1:{phase}=0.2")
    assert done.returncode == 0, done.stderr
    training = read_training(tmp_path)
    first, second = training.runs
    assert (second.train.phase_ns[phase] >= 200_000_000).all()
    assert (first.config.switches, second.config.switches) == ((), (f"planted:{phase}=0.2",))


def test_ranks_need_a_framework_that_can_train_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["profile", "--frameworks", "lucid", "--nproc", "2", "--runs-dir", str(tmp_path), "--out", str(tmp_path)]
    assert main(words) == 2
    assert "lucid cannot train 2 ranks; frameworks that can: torch, mlx" in capsys.readouterr().err
    assert main(["profile", "--nproc", "2", "--runs-dir", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "the ranks train one framework" in capsys.readouterr().err
    assert main([*words, "--repeats", "3"]) == 2
    assert "the ranks are one training" in capsys.readouterr().err


def test_without_ranks_the_verb_says_how_to_make_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ranks", "--runs-dir", str(tmp_path)]) == 2
    assert "no run of a distributed training" in capsys.readouterr().err


def test_a_single_rank_under_ddp_is_the_control_of_its_overhead(tmp_path: Path) -> None:
    done = run_ranks(tmp_path, 1, "--steps", "6", "--allow-busy")
    assert done.returncode == 0, done.stderr
    analysis = analyse_ranks(read_training(tmp_path))
    assert analysis.training.world_size == 1
    assert analysis.training.runs[0].manifest.data.train_images == 60
    assert analysis.blame.reason == "there is one rank, which waits for nobody"
    assert all((times.wait == 0).all() for times in analysis.exposed.values())


def test_mlx_trains_ranks_whose_communication_is_a_phase_of_fenced_steps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--preset", "smoke", "--device", "cpu", "--data", "synthetic", "--batch-size", "1", "--steps", "4"]
    limits = ["--train-limit", "8", "--test-limit", "2", "--fence", "all", "--quiet", "--allow-busy"]
    stores = ["--runs-dir", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main(["profile", "--frameworks", "mlx", "--nproc", "2", *words, *limits, *stores]) == 0
    training = read_training(tmp_path / "runs")
    assert training.is_complete
    analysis = analyse_ranks(training)
    assert analysis.arrivals is not None
    (point,) = analysis.arrivals.points
    assert (point.phase, point.kind) == (REST, CollectiveKind.ALL_REDUCE)
    first, second = training.runs
    assert first.train.loss.tolist() != second.train.loss.tolist()
    assert all((run.train.phase_ns[REST] > 0).all() for run in training.runs)
    assert "rank 1" in capsys.readouterr().out


def test_the_launchers_standard_input_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLX's launcher spins on a closed standard input."""
    told = tmp_path / "told"
    program = f"import select, sys; open({str(told)!r}, 'w').write(str(select.select([sys.stdin], [], [], 0)[0]))"
    monkeypatch.setattr(registry, "launch_command", lambda framework, ranks: [sys.executable, "-c", program])
    with pytest.raises(UserError, match="no rank of mlx stored a run"):
        rank_runs.run_ranks("mlx", 2, [], tmp_path / "runs", threads=1, allow_busy=True)
    assert told.read_text() == "[]"

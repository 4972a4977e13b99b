"""Processes that take turns: the process's side on text streams, and whole rounds of the scripted fake."""

import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest

from epoch_gap.profiler.analysis.sufficiency import Sufficiency
from epoch_gap.profiler.commands.shared.rounds import Budget
from epoch_gap.profiler.commands.shared.run_selection import add_latest_candidates
from epoch_gap.profiler.commands.shared.sessions import run_rounds
from epoch_gap.profiler.commands.shared.turns import Command, Turns, to_line
from epoch_gap.profiler.comparison.gap import measure_gaps
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES, TimingMode
from epoch_gap.profiler.recording.records import Step
from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.profiler.storage.run import Run


def a_step(index: int) -> Step:
    ns = 10**9
    return Step("train", TimingMode.ASRUN, 0, index, 10, 1.0, 5, index * ns, ns, {Phase.FORWARD: ns})


class Session:
    """Commands for a process, and what it reports."""

    def __init__(self, *commands: Command) -> None:
        self.between: list[int] = []
        self._reports = io.StringIO()
        commands_text = io.StringIO("".join(map(to_line, commands)))
        self.turns = Turns(
            commands_text,
            self._reports,
            Sufficiency(10, POLICIES["none"]),
            lambda: self.between.append(self.turns.number),
        )

    @property
    def reports(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._reports.getvalue().splitlines()]


def test_a_process_computes_only_in_its_turns_and_reports_after_each() -> None:
    session = Session(Command(steps=2), Command(steps=1), Command(stop="enough"))
    session.turns.wait_for_first_turn()
    assert [session.turns(a_step(i)) for i in range(3)] == [False, False, True]
    assert [report["steps"] for report in session.reports] == [0, 2, 3]
    assert session.turns.reason == "enough"
    assert session.between == [1, 2, 2, 3], "the machine is read at the end of a turn and at the start of the next"


def test_an_evaluation_is_due_once_and_ends_after_its_batches() -> None:
    session = Session(Command(steps=1), Command(steps=1, batches=3), Command(stop="enough"))
    turns = session.turns
    turns.wait_for_first_turn()
    assert not turns.is_due()
    turns(a_step(0))
    assert [turns.is_due(), turns.is_due()] == [True, False]
    assert [turns.ends_after(n) for n in (1, 2, 3)] == [False, False, True]
    turns(a_step(1))
    assert not turns.is_due()
    assert not turns.ends_after(1_000), "the last command names no number of batches"


def test_a_session_that_has_gone_interrupts_the_training() -> None:
    session = Session(Command(steps=1))
    session.turns.wait_for_first_turn()
    with pytest.raises(KeyboardInterrupt):
        session.turns(a_step(0))


COSTS = {"fast": "forward=2,backward=4,step=1,evaluate=2", "slow": "forward=4,backward=12,step=2,evaluate=4"}


def words(runs: Path, label: str, *more: str) -> list[str]:
    base = ["--framework", "fake", "--data", "synthetic", "--preset", "quick", "--runs-dir", str(runs)]
    sizes = ["--train-limit", "6400", "--test-limit", "640", "--batch-size", "16", "--allow-busy"]
    return [*base, *sizes, "--label", label, "--fake-costs", COSTS[label], *more]


def take_rounds(runs: Path, rounds: int, **more: list[str]) -> tuple[int, list[Run], list[str]]:
    shown: list[str] = []
    arguments = {label: words(runs, label, *more.get(label, [])) for label in COSTS}
    status, paths = run_rounds(arguments, Budget(600, rounds), True, shown.append)
    return status, [read_run(path) for path in paths], shown


@pytest.fixture(scope="module")
def two_rounds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Run], list[str]]:
    folder = tmp_path_factory.mktemp("rounds") / "runs"
    status, runs, shown = take_rounds(folder, 2)
    assert status == 0
    return folder, runs, shown


def test_rounds_are_of_fresh_processes_in_an_order_that_alternates(
    two_rounds: tuple[Path, list[Run], list[str]],
) -> None:
    _, runs, shown = two_rounds
    places = [(run.config.label, run.manifest.round, run.manifest.turn, run.manifest.order) for run in runs]
    assert places == [
        ("fast", 1, 1, ("fast", "slow")),
        ("slow", 1, 2, ("fast", "slow")),
        ("slow", 2, 1, ("slow", "fast")),
        ("fast", 2, 2, ("slow", "fast")),
    ]
    assert len({run.manifest.session for run in runs}) == 1
    assert {run.status for run in runs} == {RunStatus.COMPLETE}
    assert any(text.startswith("round 2 of 2, slow: 2 steps, ") for text in shown)


def test_both_sides_overlap_in_time_and_never_compute_at_once(two_rounds: tuple[Path, list[Run], list[str]]) -> None:
    _, runs, _ = two_rounds
    for fast, slow in ((runs[0], runs[1]), (runs[3], runs[2])):
        spans = sorted(
            (int(start), int(start + wall), run.config.label)
            for run in (fast, slow)
            for start, wall in zip(run.train.start_ns, run.train.wall_ns, strict=True)
        )
        assert all(end <= start for (_, end, _), (start, _, _) in pairwise(spans))
        labels = [label for _, _, label in spans]
        assert labels.index("slow") < len(labels) - 1 - labels[::-1].index("fast")
        assert labels.index("fast") < len(labels) - 1 - labels[::-1].index("slow")


def test_both_sides_are_evaluated_after_equal_steps_on_equal_images(
    two_rounds: tuple[Path, list[Run], list[str]],
) -> None:
    _, runs, _ = two_rounds
    before = [int((run.train.start_ns < run.evaluate.start_ns[0]).sum()) for run in runs]
    assert before == [7, 7, 4, 4], "the fewest steps of a round with fenced steps, and of one without"
    assert len({int(run.evaluate.images.sum()) for run in runs}) == 1
    assert all(len(run.epochs) == 1 and run.epochs[0].test_acc is not None for run in runs)
    assert [run.train.index.tolist() for run in runs] == [list(range(len(run.train))) for run in runs]


def test_the_other_sides_work_is_not_taken_for_a_busy_machine(two_rounds: tuple[Path, list[Run], list[str]]) -> None:
    _, runs, _ = two_rounds
    for run in runs:
        turns = [reading.turn for reading in run.readings]
        assert turns == sorted(turns)
        assert set(turns) == set(range(1, turns[-1] + 1)), "each turn has readings of its own"


def test_eager_sides_have_fenced_steps_in_their_first_round(two_rounds: tuple[Path, list[Run], list[str]]) -> None:
    _, runs, _ = two_rounds
    assert [bool(run.train.fenced.any()) for run in runs] == [True, True, False, False]
    assert [run.config.fence for run in runs] == ["alternate", "alternate", "none", "none"]
    gap = measure_gaps(group_runs(runs))[0]
    assert gap.fenced is None
    assert gap.slow.is_eager
    assert gap.fast.is_eager


@pytest.mark.parametrize(("label", "more"), [("slow", ["--fake-lazy"]), ("fast", ["--fence", "alternate"])])
def test_other_rounds_keep_their_fences(tmp_path: Path, label: str, more: list[str]) -> None:
    _, runs, _ = take_rounds(tmp_path, 2, **{label: more})
    assert {run.train.fenced.any() for run in runs if run.config.label == label} == {True}


def test_a_gap_of_rounds_has_an_interval_between_rounds(two_rounds: tuple[Path, list[Run], list[str]]) -> None:
    gap = measure_gaps(group_runs(two_rounds[1]))[0]
    assert gap.slow.config.label == "slow"
    assert gap.pairing.is_paired
    assert gap.basis is not None
    assert gap.basis.rounds == 2
    assert gap.ratio.low is not None


def test_a_side_that_fails_ends_the_session_and_leaves_no_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, runs, _ = take_rounds(tmp_path, 2, slow=["--data", "nowhere.npz"])
    assert (status, runs) == (2, [])
    assert [read_run(path).status for path in find_runs(tmp_path)] in ([], [RunStatus.INTERRUPTED])


INTERRUPTED_SESSION = """
import signal
import sys
from pathlib import Path
from epoch_gap.profiler.commands.shared.rounds import Budget
from epoch_gap.profiler.commands.shared.sessions import run_rounds
from tests.commands.test_turns import COSTS, words
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
def show(text):
    print(text, flush=True)
arguments = {label: words(Path(sys.argv[1]), label) for label in COSTS}
status, paths = run_rounds(arguments, Budget(600, 3), True, show)
print("finished", status, len(paths), flush=True)
"""


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_finished_rounds_count_if_the_job_is_interrupted(tmp_path: Path, signum: int, status: int) -> None:
    command = [sys.executable, "-c", INTERRUPTED_SESSION, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("round 2 of 3") and "2 steps" in line:
                if signum == signal.SIGINT:
                    os.killpg(process.pid, signum)  # Ctrl-C reaches the whole group
                else:
                    process.send_signal(signum)
                break
        rest = process.stdout.read()
    assert f"finished {status} 2" in rest
    stored = [read_run(path) for path in find_runs(tmp_path)]
    assert sorted((run.manifest.round, str(run.status)) for run in stored) == [
        *[(1, "complete")] * 2,
        *[(2, "interrupted")] * 2,
    ]
    assert {run.manifest.round for run in add_latest_candidates([], tmp_path)} == {1}


def test_messages_are_lines_of_json() -> None:
    command = Command(steps=3, batches=2, stop="a\nline")
    assert to_line(command).count("\n") == 1
    assert Command(**json.loads(to_line(command))) == command
    assert json.loads(to_line(command)) == asdict(command)

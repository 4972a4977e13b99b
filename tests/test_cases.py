"""Loops as people write them, each a script in tests/cases, with the numbers that a report must show.

Their `time.sleep` moves a scripted clock and takes no time. A script has `EXPECTED` (the training steps and batches
of evaluation that are stored, seconds by phase, and the status of the run) or `REFUSED` (the exception, and a part of
its message).
"""

from pathlib import Path

import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.storage.reader import find_runs, read_run
from tests.helpers.cases import recorded_seconds, run_script
from tests.helpers.paths import ROOT

CASES = sorted((ROOT / "tests" / "cases").glob("*.py"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
@pytest.mark.usefixtures("blank_pictures")
def test_the_loop_is_recorded_as_it_ran(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    names = run_script(path, runs, monkeypatch)
    if "REFUSED" in names:
        kind, words = names["REFUSED"]
        assert isinstance(names["error"], kind)
        assert words in str(names["error"])
        return
    expected = names["EXPECTED"]
    run = read_run(find_runs(runs)[-1])
    assert (len(run.train), len(run.evaluate)) == (expected["train"], expected.get("evaluate", 0))
    assert recorded_seconds(run) == pytest.approx(expected["seconds"])
    assert run.status == expected.get("status", "complete")
    assert all(sum(ns[i] for ns in run.train.phase_ns.values()) == wall for i, wall in enumerate(run.train.wall_ns))
    for verb in (["show", run.id], ["trace", run.id], ["report", "--out", str(tmp_path / "out")]):
        assert main([*verb, "--runs-dir", str(runs)]) == 0, capsys.readouterr().err

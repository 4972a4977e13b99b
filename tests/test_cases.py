"""Loops as people write them, each a script in tests/cases, with the numbers that a report must show.

Their `time.sleep` moves a scripted clock and takes no time. A script has `REFUSED` (the exception, and a part of its
message), or `EXPECTED`: the training steps and batches of evaluation that are stored, seconds by phase, the status of
the run, the number of runs, what `show` says of it, and why there is nothing to report.
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
    found = find_runs(runs)
    assert len(found) == expected.get("runs", len(found))
    run = read_run(found[-1])
    assert (len(run.train), len(run.evaluate)) == (expected["train"], expected.get("evaluate", 0))
    assert recorded_seconds(run) == pytest.approx(expected["seconds"])
    assert run.status == expected.get("status", "complete")
    assert all(sum(ns[i] for ns in run.train.phase_ns.values()) == wall for i, wall in enumerate(run.train.wall_ns))
    if "unreported" in expected:
        assert main(["show", run.id, "--runs-dir", str(runs)]) == 2
        assert expected["unreported"] in capsys.readouterr().err
        return
    for verb in (["trace", run.id], ["report", "--out", str(tmp_path / "out")]):
        assert main([*verb, "--runs-dir", str(runs)]) == 0, capsys.readouterr().err
    assert main(["show", run.id, "--runs-dir", str(runs)]) == 0
    assert expected.get("says", "") in capsys.readouterr().out

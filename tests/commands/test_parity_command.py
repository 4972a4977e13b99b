"""The verb `parity`: its files and its errors. PyTorch against itself, two images, one step."""

import json
import subprocess
from pathlib import Path

import pytest

from epoch_gap.profiler.commands import parity as command
from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.commands.shared import rounding_runs
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.parity.result import FILE, parity_to_text
from tests.helpers.parity import parity

SMALL = ["--data", "synthetic", "--batch-size", "2", "--steps", "1", "--devices", "cpu,cpu", "--quiet"]


def test_the_check_is_stored_and_shown_and_can_be_shown_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], blank_pictures: None
) -> None:
    asked: list[list[str]] = []

    def losses_by_threads(words: list[str]) -> dict[int, list[float]]:
        asked.append(words)
        return {1: [2.0], 2: [2.0]}

    monkeypatch.setattr(command, "losses_by_threads", losses_by_threads)
    folders = ["--runs-dir", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main(["parity", "--frameworks", "torch,torch", *SMALL, *folders]) == 0
    printed = capsys.readouterr().out
    stored = Path(printed.splitlines()[-1])
    assert stored.parent.parent == tmp_path / "runs" / "drilldown"
    data = json.loads(stored.read_text())
    assert (data["batch_size"], data["seed"], len(data["rounded"])) == (2, 42, 5)
    assert data["data"]["kind"] == "synthetic"
    assert data["environment"]["packages"]["torch"] == data["reference"]["version"].partition("+")[0]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"index.html", "parity.png", FILE}
    assert (tmp_path / "out" / FILE).read_text() == stored.read_text()
    assert "--frameworks torch,torch --devices cpu,cpu --data synthetic --steps 1" in " ".join(asked[0])

    assert main(["parity", str(stored), "--out", str(tmp_path / "again")]) == 0
    again = capsys.readouterr().out
    assert again.split("\npage:")[0] == printed.split("\npage:")[0]


def test_a_process_with_another_number_of_threads_trains_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rounding_runs, "THREADS", (2,))
    words = ["--frameworks", "torch,lucid", *SMALL, "--runs-dir", str(tmp_path)]
    assert main(["parity", *words, "--losses-only"]) == 0
    here = json.loads(capsys.readouterr().out)
    found = rounding_runs.losses_by_threads(words)
    assert found == {2: pytest.approx(here, rel=1e-4)}
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    failed: subprocess.CompletedProcess[str] = subprocess.CompletedProcess([], 137, "")
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: failed)
    with pytest.raises(UserError, match=r"^parity's run with OMP_NUM_THREADS=1 ended with status 137$"):
        rounding_runs.losses_by_threads([])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--frameworks", "torch"], "two are compared, not 'torch'"),
        (
            ["--frameworks", "torch,caffe"],
            "choose from lucid, torch, mlx, jax, keras_torch, keras_jax, fake, MODULE:CLASS",
        ),
        (["--devices", "cpu"], "two are compared"),
        (["--tolerance", "2"], "2 is not between 0 and 1"),
        (["--tolerance", "many"], "invalid number value"),
        (["--steps", "0"], "0 is less than 1"),
    ],
)
def test_bad_options_are_refused(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["parity", *words])
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert line in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--frameworks", "torch,fake"], "the training of scripted fake cannot be compared"),
        (["--steps", "100000", "--frameworks", "torch,torch"], "images are needed, but the data have"),
        (["nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_touches_no_file(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = ["--runs-dir", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert main(["parity", *SMALL, *words, *runs]) == 2
    errors = capsys.readouterr().err
    assert line in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
    assert list(tmp_path.glob("out/*")) == []


def test_a_folder_with_other_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = tmp_path / "stored.json"
    stored.write_text(parity_to_text(parity()))
    assert main(["parity", str(stored), "--out", str(tmp_path)]) == 2
    assert "contains stored.json" in capsys.readouterr().err

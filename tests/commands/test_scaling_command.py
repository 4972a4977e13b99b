"""Scaling: what is refused before any training, and what is shown of trainings that are stubbed."""

from pathlib import Path

import pytest

from epoch_gap.profiler.commands import scaling
from epoch_gap.profiler.commands.main import main
from tests.helpers.ranks import Script, simulate
from tests.helpers.runs import MakeRun


def scale(out: Path, *words: str) -> int:
    return main(["scaling", "--data", "synthetic", "--out", str(out), "--runs-dir", str(out.parent / "runs"), *words])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ranks", "2,4"], "2,4"),
        (["--ranks", "1,4,2"], "1,4,2"),
        (["--framework", "lucid"], "lucid"),
    ],
)
def test_wrong_words_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        scale(tmp_path / "out", *words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_batch_that_cannot_be_split_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scale(tmp_path / "out", "--batch-size", "5") == 2
    assert "a batch of 5 images cannot be split over 2 ranks" in capsys.readouterr().err


def test_each_configuration_is_trained_once_and_shown_by_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], make_run: MakeRun
) -> None:
    alone = make_run([0.3] * 20)
    trained: list[tuple[int, str]] = []

    def run_ranks(framework: str, ranks: int, words: list[str], *_: object) -> object:
        trained.append((ranks, words[words.index("--batch-size") + 1]))
        return simulate(Script(ranks=ranks, noise=0.01))

    monkeypatch.setattr(scaling, "run_process", lambda words, environment: (0, alone.path))
    monkeypatch.setattr(scaling, "run_ranks", run_ranks)
    assert scale(tmp_path / "out", "--batch-size", "64") == 0
    assert trained == [(1, "64"), (2, "32"), (2, "64")]
    printed = capsys.readouterr().out
    assert "strong scaling" in printed
    assert "weak scaling" in printed
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scaling.png", "scaling.csv"}

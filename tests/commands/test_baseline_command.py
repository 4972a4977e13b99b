"""Named baselines, and comparisons against them."""

from pathlib import Path

import pytest

from epoch_gap.profiler.commands.main import main
from epoch_gap.profiler.storage.baseline_store import BASELINES_JSON, load_baselines
from tests.helpers.runs import MakeRun

STEADY = [1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0, 1.01, 0.99, 1.0]


def baseline(runs_dir: Path, *words: str) -> int:
    return main(["baseline", *words, "--runs-dir", str(runs_dir)])


def compare(runs_dir: Path, *words: str) -> int:
    return main(["compare", *words, "--runs-dir", str(runs_dir)])


def test_a_run_is_compared_with_the_runs_of_a_baseline(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    base = [make_run(STEADY) for _ in range(2)]
    slower = [make_run([1.5 * s for s in STEADY], config={"label": "new"}) for _ in range(2)]
    folder = base[0].path.parent
    assert baseline(folder, "set", "main", *(run.id for run in base)) == 0
    assert capsys.readouterr().out.startswith("main  fake-1-cpu  ")
    assert compare(folder, ",".join(run.id for run in slower), "--against", "main", "--fail-above", "2") == 1
    printed = capsys.readouterr().out
    assert all(run.short_id in printed.splitlines()[0] for run in base)
    assert "B: slower" in printed


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ({"model": "lenet5"}, "models resnet18 and lenet5 differ"),
        ({"image_size": 64}, "image sizes 32 and 64 differ"),
    ],
    ids=["model", "image size"],
)
def test_a_run_of_another_network_is_not_compared_with_a_baseline(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], network: dict[str, object], text: str
) -> None:
    base, other = make_run(STEADY), make_run(STEADY, config=network)
    folder = base.path.parent
    assert baseline(folder, "set", "main", base.id) == 0
    assert compare(folder, other.id, "--against", "main", "--fail-above", "2") == 2
    assert text in capsys.readouterr().err
    assert baseline(folder, "set", "main", base.id, other.id) == 2, "they are no repeats"


def test_a_name_can_be_given_again_listed_and_removed(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = make_run(STEADY), make_run(STEADY)
    folder = first.path.parent
    assert baseline(folder, "list") == 0
    assert "no baselines" in capsys.readouterr().out
    for name, run in (("main", first), ("old", first), ("main", second)):
        assert baseline(folder, "set", name, run.id) == 0
    assert {name: b.runs for name, b in load_baselines(folder).items()} == {"main": (second.id,), "old": (first.id,)}
    capsys.readouterr()
    assert baseline(folder, "list") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["main", "old"]
    assert baseline(folder, "remove", "old") == 0
    assert list(load_baselines(folder)) == ["main"]
    assert first.path.exists(), "its runs stay"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["set"], "needs a name"),
        (["set", "main"], "needs a run"),
        (["set", "a name", "RUN"], "is no name of a baseline"),
        (["set", "../main", "RUN"], "is no name of a baseline"),
        (["set", "main", "nowhere"], "no run 'nowhere'"),
        (["set", "main", "RUN", "OTHER"], "repeat one configuration"),
        (["set", "main", "SHORT"], "too few training steps"),
        (["remove", "main"], "no baseline 'main'"),
        (["list", "main"], "takes no name"),
        (["remove", "main", "RUN"], "takes no run"),
    ],
    ids=" ".join,
)
def test_what_is_no_baseline_is_refused_in_one_line_and_nothing_is_stored(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    named = {
        "RUN": make_run(STEADY),
        "OTHER": make_run(STEADY, config={"label": "other"}),
        "SHORT": make_run([1.0]),
    }
    folder = named["RUN"].path.parent
    assert baseline(folder, *(named[word].id if word in named else word for word in words)) == 2
    errors = capsys.readouterr().err
    assert text in errors
    assert errors.count("\n") == 1
    assert not (folder / BASELINES_JSON).exists()


def test_a_run_from_elsewhere_is_refused(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(STEADY)
    assert baseline(tmp_path / "others", "set", "main", str(run.path)) == 2
    assert "is not in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["RUN", "--against", "missing"], "no baseline 'missing'"),
        (["RUN", "RUN", "--against", "main"], "give only B"),
        (["RUN"], "give a second run"),
        (["RUN", "--against", "main"], "cannot be on both sides"),
    ],
    ids=" ".join,
)
def test_a_comparison_needs_exactly_two_sides(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    run = make_run(STEADY)
    assert baseline(run.path.parent, "set", "main", run.id) == 0
    capsys.readouterr()
    assert compare(run.path.parent, *(run.id if word == "RUN" else word for word in words)) == 2
    errors = capsys.readouterr().err
    assert text in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("text", ["{", "[1]", '{"main": {"runs": "one"}}'])
def test_a_damaged_file_is_refused_in_one_line(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    run = make_run(STEADY)
    (run.path.parent / BASELINES_JSON).write_text(text)
    assert compare(run.path.parent, run.id, "--against", "main") == 2
    errors = capsys.readouterr().err
    assert BASELINES_JSON in errors
    assert errors.count("\n") == 1

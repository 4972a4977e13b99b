"""docs/summary.schema.json: every summary fits, and a missing or an unknown key does not."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from epoch_gap.profiler.storage.run import Run
from tests.helpers.fake_training import scripted_run
from tests.helpers.paths import ROOT
from tests.helpers.runs import MakeRun
from tests.helpers.summary_schema import SCHEMA, problems
from tests.helpers.views import build_view

SAMPLES = sorted((ROOT / "docs" / "sample").glob("*/summary.json"))
KERNEL = {("operating_system", "phases"), ("operating_system", "by_phase")}
MAPS = {("values",), ("asrun",), ("fenced",), ("cores_busy",), *KERNEL}
"""the ends of the paths of objects whose keys are phases or subjects"""
FIRST_OF = ("subjects", "gaps", "fairness")


def summary_of(*runs: Run) -> Any:
    return json.loads(json.dumps(build_view(runs).summary, allow_nan=False))


def noisy(mean: float, seed: int) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, 0.1, 12))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.parent.name)
def test_the_summaries_of_the_samples_fit(path: Path) -> None:
    assert problems(json.loads(path.read_text())) == []


def test_summaries_of_every_kind_of_runs_fit(make_run: MakeRun, tmp_path: Path) -> None:
    steady = [1.0] * 12
    own = {"kind": "own", "source": "digits", "sha256": None}
    several = [make_run(noisy(1 + i, 3 * i + j), config={"label": f"{i}"}) for i in range(3) for j in range(2)]
    lazy, eager = (scripted_run(tmp_path / "runs", lazy=is_lazy, fence="alternate") for is_lazy in (True, False))
    for runs in (
        [make_run(steady, evaluation=[0.2, 0.3], peak_rss_bytes=123)],
        [make_run([1.0, 1.0], status="interrupted")],
        [make_run(steady, losses=[float("nan")] * 12)],
        [make_run(steady, data=own)],
        [make_run(steady, framework={"installed_commit": "v1-dirty"})],
        several,
        [lazy],
        [lazy, eager],
    ):
        assert problems(summary_of(*runs)) == []


def objects(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Every object within JSON values, with its path."""
    if isinstance(value, dict):
        yield path, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from objects(child, (*path, key))


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def shape(path: tuple[str | int, ...]) -> tuple[str, ...]:
    """A path without its numbers, by which objects of one kind are alike."""
    return tuple(key for key in path if isinstance(key, str))


def is_map(path: tuple[str | int, ...]) -> bool:
    return path[-1:] in MAPS or path[-2:] in MAPS


@pytest.fixture(scope="module")
def kinds() -> dict[tuple[str, ...], tuple[Any, tuple[str | int, ...]]]:
    """Every kind of object in the samples: a summary that has it, with one subject, gap and condition, and where."""
    wholes = [json.loads(path.read_text()) for path in SAMPLES]
    short = [{**whole, **{key: whole[key][:1] for key in FIRST_OF}} for whole in wholes]
    return {shape(path): (summary, path) for summary in short for path, _ in objects(summary)}


@pytest.fixture
def sample(kinds: dict[tuple[str, ...], tuple[Any, tuple[str | int, ...]]]) -> Any:
    return kinds["subjects",][0]


def test_a_missing_key_is_noticed_wherever_it_is(kinds: dict[Any, Any]) -> None:
    assert len(kinds) > 45
    for summary, path in kinds.values():
        for key in at(summary, path):
            broken = copy.deepcopy(summary)
            del at(broken, path)[key]
            if not is_map(path) or path[-2:-1] == ("phases",):
                assert problems(broken), (path, key)


def test_an_unknown_key_is_noticed_wherever_it_is(kinds: dict[Any, Any]) -> None:
    for summary, path in kinds.values():
        broken = copy.deepcopy(summary)
        at(broken, path)["Unknown key"] = 1
        assert problems(broken), path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("subjects",), []),
        (("subjects", 0, "batch_size"), "128"),
        (("subjects", 0, "epoch_seconds", "value"), None),
        (("subjects", 0, "phases", "asrun", "forward"), 0),
        (("gaps", 0, "verdict"), "faster"),
        (("gaps", 0, "ratio", "low"), "3.0"),
        (("fairness", 0, "matters"), "money"),
    ],
)
def test_a_value_of_another_kind_is_noticed(sample: Any, path: tuple[str | int, ...], value: Any) -> None:
    broken = copy.deepcopy(sample)
    at(broken, path[:-1])[path[-1]] = value
    assert problems(broken)

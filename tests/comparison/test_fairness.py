from typing import Any

import pytest

from epoch_gap.profiler.comparison.fairness import CONDITIONS, Item, audit_fairness
from epoch_gap.profiler.comparison.subject import group_runs
from tests.helpers.runs import MakeRun


def audited(make_run: MakeRun, **changes: Any) -> tuple[list[Item], list[str]]:
    """The audit of a plain run and of one with `changes`, and the two subjects' ids."""
    config = {"label": "changed"} | changes.pop("config", {})
    subjects = group_runs([make_run([1.0] * 6), make_run([1.0] * 6, config=config, **changes)])
    return audit_fairness(subjects), [subject.id for subject in subjects]


def test_identical_runs_have_no_differing_condition(make_run: MakeRun) -> None:
    items, _ = audited(make_run)
    assert [item.name for item in items if item.differs] == []
    assert len(items) == len(CONDITIONS)


POOL = {"internal_api": "openblas", "architecture": "SkylakeX", "num_threads": 2}


@pytest.mark.parametrize(
    ("changes", "item", "affects"),
    [
        ({"environment": {"variables": {"OPENBLAS_CORETYPE": "Haswell"}}}, "BLAS and OpenMP variables", "time"),
        ({"environment": {"thread_pools": [POOL]}}, "thread pools and BLAS kernels", "time"),
        ({"environment": {"machine": {"cpu": "another"}}}, "CPU", "time"),
        ({"framework": {"dtype": "float16"}}, "dtype", "both"),
        ({"config": {"seed": 7}}, "seed", "accuracy"),
        ({"data": {"test_images": 10}}, "test images", "accuracy"),
        ({"environment": {"git": {"commit": "abc", "dirty": True}}}, "project commit", "both"),
    ],
)
def test_differing_conditions_come_first(make_run: MakeRun, changes: dict[str, Any], item: str, affects: str) -> None:
    items, _ = audited(make_run, **changes)
    differing = [i.name for i in items if i.differs]
    assert item in differing
    assert [i.name for i in items[: len(differing)]] == differing
    assert {i.name: i.affects for i in items}[item] == affects


def test_a_condition_that_only_a_custom_loop_has_is_compared_too(make_run: MakeRun) -> None:
    subjects = group_runs(
        [
            make_run(
                [1.0] * 6, config={"label": str(n)}, framework={"threads": n, "pinned": True}, data={"kind": "own"}
            )
            for n in (4, 8)
        ]
    )
    items = {item.name: item for item in audit_fairness(subjects)}
    assert list(items["threads"].values.values()) == ["4", "8"]
    assert (items["threads"].differs, items["threads"].affects) == (True, "both")
    assert (items["pinned"].differs, list(items["pinned"].values.values())) == (False, ["yes", "yes"])
    assert not {"name", "clocks", "phases"} & set(items)


def test_different_kernels_of_the_same_library_are_distinguished(make_run: MakeRun) -> None:
    pools = [[POOL | {"architecture": kernel}] for kernel in ("SkylakeX", "Haswell")]
    subjects = group_runs(
        [make_run([1.0] * 6, config={"label": str(i)}, environment={"thread_pools": p}) for i, p in enumerate(pools)]
    )
    first = audit_fairness(subjects)[0]
    assert first.name == "thread pools and BLAS kernels"
    assert list(first.values.values()) == ["openblas SkylakeX x2", "openblas Haswell x2"]


def test_the_variable_is_named_with_its_value(make_run: MakeRun) -> None:
    items, (plain, changed) = audited(make_run, environment={"variables": {"OPENBLAS_CORETYPE": "Haswell"}})
    assert items[0].values == {plain: "none set", changed: "OPENBLAS_CORETYPE=Haswell"}


def test_a_missing_value_reads_na_and_differs_from_a_known_one(make_run: MakeRun) -> None:
    items, (plain, changed) = audited(make_run, framework={"dtype": "float32"}, data={"kind": "cifar10"})
    by_name = {item.name: item for item in items}
    assert by_name["dtype"].values == {plain: "n/a", changed: "float32"}
    assert by_name["dtype"].differs
    assert by_name["governor"].values == {plain: "n/a", changed: "n/a"}
    assert by_name["thread pools and BLAS kernels"].values[plain] == "n/a"
    assert by_name["project commit"].values[plain] == "n/a"


def test_values_are_formatted_for_people(make_run: MakeRun) -> None:
    git = {"commit": "abc", "dirty": False}
    items, (plain, changed) = audited(make_run, config={"checkpoint": True}, environment={"git": git})
    by_name = {item.name: item for item in items}
    assert by_name["checkpoint per epoch"].values == {plain: "no", changed: "yes"}
    assert by_name["project commit"].values[changed] == "commit abc, dirty no"

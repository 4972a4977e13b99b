"""Ranks of a distributed training are subjects of their own, which no other report takes for a framework's runs."""

from typing import Any

from epoch_gap.profiler.comparison.fairness import audit_fairness
from epoch_gap.profiler.comparison.identity import (
    candidate_key,
    comparison_key,
    lineage_id,
    stands_alone,
    subject_id,
)
from epoch_gap.profiler.comparison.subject import group_runs
from tests.helpers.runs import MakeRun, manifest


def rank(number: int, world_size: int = 2) -> dict[str, Any]:
    return {"rank": number, "world_size": world_size, "host": "a", "boot": "b"}


def test_a_rank_is_no_repeat_of_another_rank_or_of_a_process_alone() -> None:
    told = [manifest(), manifest(rank=rank(0)), manifest(rank=rank(1)), manifest(rank=rank(0, 4))]
    for key in (subject_id, lineage_id, candidate_key, comparison_key):
        assert len({key(one) for one in told}) == 4
    assert [stands_alone(one) for one in told] == [True, False, False, False]
    assert subject_id(told[1]) == "fake-1-cpu-rank-0-of-2"


def test_the_title_names_the_rank_and_the_fairness_list_the_ranks_and_their_threads(make_run: MakeRun) -> None:
    alone = make_run([0.1] * 12, framework={"threads": 2})
    ranked = make_run([0.1] * 12, rank=rank(1), framework={"threads": 1})
    subjects = group_runs([alone, ranked])
    assert subjects[1].title == "Fake 1 (cpu, rank 1 of 2)"
    items = {item.name: item for item in audit_fairness(subjects)}
    assert [*items["ranks"].values.values()] == ["n/a", "2"]
    assert items["threads of each process"].differs
    assert "ranks" not in {item.name for item in audit_fairness(subjects[:1])}

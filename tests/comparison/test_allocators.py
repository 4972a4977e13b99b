"""Runs whose allocator keeps freed memory: which pairs are fair, and what a report shows of them."""

import pytest

from epoch_gap.profiler.comparison.gap import measure_gaps
from epoch_gap.profiler.comparison.identity import check_comparable, comparison_key, subject_id
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.run import Run
from tests.helpers.runs import MakeRun
from tests.helpers.views import build_view

TORCH = {"framework": {"name": "torch", "title": "PyTorch"}}
LUCID = {"framework": {"name": "lucid", "title": "Lucid"}}


def run_of(make_run: MakeRun, seconds: float, framework: dict[str, dict[str, str]], allocator: str | None) -> Run:
    name = framework["framework"]["name"]
    return make_run([seconds] * 9, config={"framework": name, "allocator": allocator}, **framework)


def four(make_run: MakeRun) -> list[Run]:
    return [
        run_of(make_run, 1.3, TORCH, "default"),
        run_of(make_run, 1.0, TORCH, "keep"),
        run_of(make_run, 8.0, LUCID, "default"),
        run_of(make_run, 6.0, LUCID, "keep"),
    ]


def test_kept_memory_makes_another_subject_and_older_runs_keep_their_id(make_run: MakeRun) -> None:
    old, default, kept = (run_of(make_run, 1.0, TORCH, allocator) for allocator in (None, "default", "keep"))
    assert subject_id(old.manifest) == subject_id(default.manifest) == "torch-1-cpu"
    assert subject_id(kept.manifest) == "torch-1-cpu-memory-kept"
    assert comparison_key(default.manifest) != comparison_key(kept.manifest)
    assert group_runs([kept])[0].title == "PyTorch 1 (cpu, memory kept)"


def test_memory_that_is_kept_through_variables_set_by_hand_is_kept_memory(make_run: MakeRun) -> None:
    by_hand = make_run([1.0] * 9, environment={"keeps_memory": True}, config={"framework": "torch"}, **TORCH)
    assert subject_id(by_hand.manifest) == "torch-1-cpu-memory-kept"
    with pytest.raises(UserError, match="on one side only"):
        check_comparable([by_hand, run_of(make_run, 6.0, LUCID, "default")])
    check_comparable([by_hand, run_of(make_run, 1.3, TORCH, "default")])


def test_two_frameworks_of_which_one_keeps_memory_are_refused(make_run: MakeRun) -> None:
    with pytest.raises(UserError, match="on one side only; run both with ALLOCATOR=keep"):
        check_comparable([run_of(make_run, 1.0, TORCH, "keep"), run_of(make_run, 6.0, LUCID, "default")])


def test_a_framework_is_compared_with_itself_with_kept_memory(make_run: MakeRun) -> None:
    check_comparable([run_of(make_run, 1.0, TORCH, "keep"), run_of(make_run, 1.3, TORCH, "default")])


def test_another_version_or_device_is_not_compared_across_allocators(make_run: MakeRun) -> None:
    kept = run_of(make_run, 1.0, TORCH, "keep")
    for change in ({"version": "2"}, {"device": "cuda"}):
        other = {"framework": {**TORCH["framework"], **change}}
        with pytest.raises(UserError, match="on one side only"):
            check_comparable([kept, run_of(make_run, 1.3, other, "default")])


def test_the_next_step_keeps_the_allocator(make_run: MakeRun) -> None:
    kept = [run_of(make_run, 1.0, TORCH, "keep"), run_of(make_run, 6.0, LUCID, "keep")]
    assert "ALLOCATOR=keep" in build_view(kept).next_step
    assert "ALLOCATOR" not in build_view(four(make_run)).next_step


def test_a_report_shows_all_four_and_compares_only_fair_pairs(make_run: MakeRun) -> None:
    view = build_view(four(make_run))
    assert [subject.title for subject in view.subjects] == [
        "Lucid 1 (cpu)",
        "Lucid 1 (cpu, memory kept)",
        "PyTorch 1 (cpu)",
        "PyTorch 1 (cpu, memory kept)",
    ]
    pairs = [(gap.slow.title, gap.fast.title) for gap in view.gaps]
    assert pairs[0] == ("Lucid 1 (cpu)", "PyTorch 1 (cpu)"), "the headline is of the default allocator"
    assert pairs[1] == ("Lucid 1 (cpu, memory kept)", "PyTorch 1 (cpu, memory kept)")
    assert set(pairs[2:]) == {
        ("Lucid 1 (cpu)", "Lucid 1 (cpu, memory kept)"),
        ("PyTorch 1 (cpu)", "PyTorch 1 (cpu, memory kept)"),
    }
    assert view.chain == ()
    assert len(view.further) == len(view.gaps) - 1
    assert "memory kept) takes" in view.further[0]


def test_without_a_fair_pair_there_is_no_gap(make_run: MakeRun) -> None:
    runs = [run_of(make_run, 1.0, TORCH, "keep"), run_of(make_run, 6.0, LUCID, "default")]
    assert measure_gaps(group_runs(runs)) == []
    view = build_view(runs)
    assert view.gaps == ()
    assert "Lucid 1 (cpu) takes" in view.verdict
    assert "PyTorch 1 (cpu, memory kept) takes" in view.verdict
    assert view.verdict.endswith("run both with ALLOCATOR=keep, or both without.")
    assert view.next_step

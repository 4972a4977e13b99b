import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.comparison.fairness import audit_fairness
from epoch_gap.profiler.comparison.gap import measure_gaps
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.export.summary import summarise
from tests.helpers.runs import MakeRun

SUBJECT = {
    "id",
    "per",
    "framework",
    "framework_version",
    "framework_commit",
    "device",
    "data",
    "batch_size",
    "model",
    "image_size",
    "runs",
    "status",
    "steps",
    "epoch_seconds",
    "phases",
    "perturbation",
    "marks_share",
    "peak_rss_bytes",
    "drifted",
    "flags",
    "beginning",
    "more_steps",
    "warm_up",
    "operating_system",
    "accuracy",
}
GAP = {
    "slow",
    "fast",
    "seconds",
    "ratio",
    "ratio_within",
    "verdict",
    "noise_floor",
    "interval",
    "basis",
    "left_out",
    "operating_system",
    "accuracy",
    "by_phase",
}
INTERVAL = {"value", "low", "high"}


def summary_of(*runs: Run) -> dict[str, Any]:
    """As a program reads it: through strict JSON."""
    subjects = group_runs(runs)
    pairs = measure_gaps(subjects)
    text = json.dumps(summarise(subjects, pairs, audit_fairness(subjects)), allow_nan=False)
    summary: dict[str, Any] = json.loads(text)
    return summary


def noisy(mean: float, seed: int) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, 0.1, 12))


def test_the_keys_are_those_of_the_contract(make_run: MakeRun) -> None:
    runs = [make_run(noisy(1, i), evaluation=[0.2, 0.3], config={"label": str(i)}) for i in range(3)]
    summary = summary_of(*runs)
    assert set(summary) == {"schema_version", "subjects", "gaps", "fairness", "experiments", "cross"}
    assert (summary["experiments"], summary["cross"]) == (None, None), "no session"
    assert summary["schema_version"] == 1
    assert len(summary["gaps"]) == 3
    for subject in summary["subjects"]:
        assert set(subject) == SUBJECT
        assert set(subject["steps"]) == {"warmup", "asrun", "fenced"}
        assert set(subject["epoch_seconds"]) == INTERVAL | {"kind"}
        assert set(subject["phases"]) == {"asrun", "fenced"}
        assert list(subject["phases"]["asrun"]) == [str(phase) for phase in Phase if phase is not Phase.SKIPPED]
        assert set(subject["phases"]["asrun"]["forward"]) == {"seconds", "low", "high", "share"}
        assert set(subject["accuracy"]) == {"evaluations", "repeats_loss_difference", "first_batch_loss", "epochs"}
        assert set(subject["accuracy"]["epochs"][0]) == {
            "epoch",
            "train_loss",
            "train_acc",
            "test_loss",
            "test_acc",
            "lr",
            "seconds",
        }
    for gap in summary["gaps"]:
        assert set(gap) == GAP
        assert set(gap["seconds"]) == set(gap["ratio"]) == set(gap["by_phase"]["asrun"]["forward"]) == INTERVAL
        assert gap["verdict"] in ("slower", "equal", "undecided")
        assert {gap["slow"], gap["fast"]} <= {subject["id"] for subject in summary["subjects"]}
    for item in summary["fairness"]:
        assert set(item) == {"item", "values", "differs", "matters"}
        assert set(item["values"]) == {subject["id"] for subject in summary["subjects"]}


def test_a_subject_has_its_stored_conditions_and_accuracy(make_run: MakeRun) -> None:
    run = make_run([1.0] * 12, evaluation=[0.2, 0.3], losses=[2.5] * 12, peak_rss_bytes=123)
    subject = summary_of(run)["subjects"][0]
    assert (subject["framework"], subject["framework_version"], subject["device"]) == ("fake", "1", "cpu")
    assert (subject["data"], subject["batch_size"], subject["runs"]) == ("cifar10", 10, [run.id])
    assert subject["steps"] == {"warmup": 1, "asrun": 11, "fenced": 0}
    assert subject["peak_rss_bytes"] == 123
    assert subject["accuracy"]["first_batch_loss"] == 2.5
    assert subject["accuracy"]["epochs"] == [
        {
            "epoch": 0,
            "train_loss": 1.9,
            "train_acc": 0.4,
            "test_loss": 1.5,
            "test_acc": 0.6,
            "lr": 1e-3,
            "seconds": pytest.approx(0.5 + 12 + 0.5),
        }
    ]


def test_unknown_values_are_null(make_run: MakeRun) -> None:
    subject = summary_of(make_run([1.0] * 6))["subjects"][0]
    assert subject["phases"]["asrun"]["materialize"] is None
    assert subject["phases"]["asrun"]["evaluate"] is None
    assert subject["phases"]["asrun"]["epoch_start"]["low"] is None
    assert subject["phases"]["fenced"] is None
    assert (subject["perturbation"], subject["drifted"], subject["peak_rss_bytes"]) == (None, None, None)
    assert subject["accuracy"]["epochs"][0]["test_loss"] is None


def test_phases_sum_to_the_epoch_and_their_shares_to_1(make_run: MakeRun) -> None:
    summary = summary_of(make_run(noisy(3, 1), evaluation=[0.2], config={"label": "a"}), make_run(noisy(1, 2)))
    for subject in summary["subjects"]:
        parts = [part for part in subject["phases"]["asrun"].values() if part]
        assert sum(part["seconds"] for part in parts) == pytest.approx(subject["epoch_seconds"]["value"], rel=1e-9)
        assert sum(part["share"] for part in parts) == pytest.approx(1, rel=1e-9)


def test_by_phase_sums_to_the_gap(make_run: MakeRun) -> None:
    summary = summary_of(make_run(noisy(3, 1), evaluation=[0.2], config={"label": "a"}), make_run(noisy(1, 2)))
    gap = summary["gaps"][0]
    assert sum(part["value"] for part in gap["by_phase"]["asrun"].values()) == pytest.approx(
        gap["seconds"]["value"], rel=1e-9
    )
    assert gap["left_out"] == ["evaluate"]


def test_kind_distinguishes_a_measured_epoch_from_an_estimated_one(make_run: MakeRun) -> None:
    whole = make_run([1.0] * 10 + [0.4], images=[10] * 10 + [4], evaluation=[0.2, 0.2], config={"label": "whole"})
    subjects = summary_of(whole, make_run([1.0] * 6))["subjects"]
    assert [subject["epoch_seconds"]["kind"] for subject in subjects] == ["measured", "estimated"]


def test_the_interval_is_labelled_by_the_variation_that_it_includes(make_run: MakeRun) -> None:
    slow, fast = ([make_run(noisy(m, i), config={"label": str(m)}) for i in range(2)] for m in (2, 1))
    assert summary_of(*slow, *fast)["gaps"][0]["interval"] == "between processes"
    assert summary_of(slow[0], fast[0])["gaps"][0]["interval"] == "within one process of each"


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_training_that_diverged_is_still_strict_json(make_run: MakeRun, loss: float) -> None:
    run = make_run([1.0] * 6, losses=[loss] * 6)
    run = replace(run, epochs=tuple(replace(epoch, train_loss=loss, test_loss=loss) for epoch in run.epochs))
    accuracy = summary_of(run)["subjects"][0]["accuracy"]
    assert accuracy["first_batch_loss"] is None
    assert (accuracy["epochs"][0]["train_loss"], accuracy["epochs"][0]["test_loss"]) == (None, None)


def test_marks_are_priced_by_the_step(make_run: MakeRun) -> None:
    """Two marks of 100 ns in a step of 1 ms."""
    assert analyse_run(make_run([0.001] * 6)).marks_share == pytest.approx(2 * 100e-9 / 1e-3)

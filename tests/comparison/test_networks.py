"""Runs of other networks and image sizes: who they are, what they are not compared with, and what a report says."""

import json
from typing import Any

import pytest

from epoch_gap.profiler.comparison.fairness import CONDITIONS, audit_fairness
from epoch_gap.profiler.comparison.gap import measure_gaps
from epoch_gap.profiler.comparison.identity import (
    candidate_key,
    check_comparable,
    comparison_key,
    drilldown_key,
    lineage_id,
    series_key,
    subject_id,
    watched_key,
)
from epoch_gap.profiler.comparison.noise_floor import measure_noise_floor
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.drilldown.conditions import DrilldownConditions, conditions_from_json, conditions_to_json
from epoch_gap.profiler.drilldown.matching import explains
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.manifest import Network, manifest_from_json, manifest_to_json
from epoch_gap.profiler.storage.noise_floor_store import load_noise_floors, save_noise_floor
from tests.helpers.runs import MakeRun, manifest
from tests.helpers.views import build_view

LARGE = {"model": "resnet50", "image_size": 224}
KEYS = [subject_id, lineage_id, series_key, comparison_key, candidate_key, drilldown_key, watched_key]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.__name__)
def test_the_articles_network_has_the_keys_of_older_runs(key: Any) -> None:
    assert key(manifest(config={"model": "resnet18", "image_size": 32})) == key(manifest())


def test_keys_of_another_network_end_with_it() -> None:
    large, small = manifest(config=LARGE), manifest(config={"image_size": 64})
    assert subject_id(manifest()) == "fake-1-cpu"
    assert subject_id(large) == "fake-1-cpu-resnet50-224x224"
    assert subject_id(small) == "fake-1-cpu-64x64"
    assert comparison_key(manifest()) == "fake-cpu-batch-10-cifar10"
    assert comparison_key(large) == "fake-cpu-batch-10-cifar10-resnet50-224x224"
    assert (drilldown_key(manifest()), drilldown_key(large)) == ("fake-cpu", "fake-cpu.resnet50.224x224")
    assert watched_key(large) != watched_key(manifest())
    assert series_key(large) != series_key(manifest())


def test_a_stored_manifest_tells_its_network() -> None:
    stored = manifest_to_json(manifest(config=LARGE))
    assert (stored["config"]["model"], stored["config"]["image_size"]) == ("resnet50", 224)
    assert manifest_from_json(json.loads(json.dumps(stored))).config.network == Network("resnet50", 224)
    assert manifest().config.network == Network("resnet18", 32)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "lenet5"}, "models resnet18 and lenet5 differ"),
        ({"image_size": 224}, "image sizes 32 and 224 differ"),
        (LARGE, "models resnet18 and resnet50 differ"),
    ],
)
def test_runs_of_different_networks_are_not_compared(make_run: MakeRun, changes: dict[str, Any], reason: str) -> None:
    runs = [make_run([1.0] * 6), make_run([1.0] * 6, config=changes)]
    for refuse in (check_comparable, group_runs):
        with pytest.raises(UserError, match=f"cannot be compared: {reason}"):
            refuse(runs)


def test_older_runs_are_compared_with_those_of_the_articles_network(make_run: MakeRun) -> None:
    runs = [make_run([1.0] * 6), make_run([1.0] * 6, config={"model": "resnet18", "image_size": 32})]
    (subject,) = group_runs(runs)
    assert len(subject.runs) == 2
    assert len(audit_fairness([subject])) == len(CONDITIONS)


def test_a_report_names_the_network_and_leaves_the_article_out(make_run: MakeRun) -> None:
    def view(**config: Any) -> Any:
        sides = [({"framework": name}, {"name": name, "images": "224 x 224"}) for name in ("lucid", "torch")]
        return build_view(
            [
                make_run([seconds] * 6, config={**settings, **config}, framework=framework)
                for seconds, (settings, framework) in zip((2.0, 1.0), sides, strict=True)
            ]
        )

    plain, large = view(), view(**LARGE)
    assert [subject.title for subject in large.subjects] == ["Fake 1 (cpu, resnet50, 224x224)"] * 2
    assert large.source.startswith("CIFAR-10, resnet50, 224x224, batch 10 | ")
    assert plain.source.startswith("CIFAR-10, batch 10 | ")
    assert (len(plain.article), large.article) == (2, ())
    ids = [f"{name}-1-cpu-resnet50-224x224" for name in ("lucid", "torch")]
    assert [s["id"] for s in large.summary["subjects"]] == ids
    assert all((s["model"], s["image_size"]) == ("resnet50", 224) for s in large.summary["subjects"])
    assert all((s["model"], s["image_size"]) == ("resnet18", 32) for s in plain.summary["subjects"])
    items = {item.name: next(iter(item.values.values())) for item in large.fairness}
    assert (items["network"], items["image size"]) == ("resnet50", "224 x 224")
    assert items["resizing of the images"] == "224 x 224"
    assert "network" not in {item.name for item in plain.fairness}
    assert " MODEL=resnet50 IMAGE_SIZE=224 BATCH=10" in large.next_step
    assert "MODEL" not in plain.next_step


def test_a_drilldown_explains_runs_of_its_own_network_only() -> None:
    plain, large = manifest(), manifest(config=LARGE)
    conditions = DrilldownConditions.from_manifest(large)
    stored = conditions_to_json(conditions)
    assert stored["network"] == LARGE
    assert conditions_from_json(json.loads(json.dumps(stored))) == conditions
    assert (explains(conditions, large), explains(conditions, plain)) == (True, False)
    assert explains(DrilldownConditions.from_manifest(plain), plain)
    assert "network" not in conditions_to_json(DrilldownConditions.from_manifest(plain))


def test_a_noise_floor_belongs_to_its_network(make_run: MakeRun, tmp_path: Any) -> None:
    runs = [
        make_run([seconds] * 6, config={**LARGE, "label": label})
        for seconds, label in ((1.0, "A"), (1.01, "B"), (1.02, "A"), (1.0, "B"))
    ]
    floor = measure_noise_floor(measure_gaps(group_runs(runs))[0])
    save_noise_floor(tmp_path, "machine", floor)
    (stored,) = load_noise_floors(tmp_path)["machine"].items()
    assert stored == (comparison_key(runs[0].manifest), floor)
    assert floor.network == Network("resnet50", 224)

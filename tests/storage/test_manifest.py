import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.manifest import Config, DataKind, manifest_from_json, manifest_to_json
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.profiler.storage.writer import create_run
from tests.helpers.runs import BASE, manifest, merged


def test_a_manifest_survives_json() -> None:
    full = manifest(
        framework={"dtype": "float32", "clocks": {"forward": "model(x)"}},
        environment={"thread_pools": [{"internal_api": "openblas", "num_threads": 2}], "variables": {"OMP": "1"}},
        order=["a", "b"],
    )
    stored = json.loads(json.dumps(manifest_to_json(full)))
    assert manifest_from_json(stored) == full
    assert stored["framework"]["dtype"] == "float32"
    assert stored["environment"]["thread_pools"] == [{"internal_api": "openblas", "num_threads": 2}]
    assert "stopped" not in stored


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"config": {"batch_size": "128"}}, "config.batch_size"),
        ({"config": {"checkpoint": "yes"}}, "config.checkpoint"),
        ({"data": {"kind": "imagenet"}}, "data.kind"),
        ({"data": {"train_images": None}}, "data.train_images"),
        ({"full_epoch": {"train_images": 1.5}}, "full_epoch.train_images"),
        ({"framework": {"version": 2}}, "framework.version"),
        ({"framework": "torch"}, "framework"),
        ({"environment": {"machine": {"cores_usable": []}}}, "environment.machine.cores_usable"),
        ({"mark_cost_ns": "cheap"}, "mark_cost_ns"),
        ({"status": "asleep"}, "status"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError, match=rf"manifest: .* in `{field}`"):
        manifest_from_json(merged(BASE, changes))


@pytest.mark.parametrize("section", ["config", "framework", "data", "full_epoch", "environment", "mark_cost_ns"])
def test_a_missing_section_is_named(section: str) -> None:
    with pytest.raises(UserError, match=f"missing required field `{section}`"):
        manifest_from_json({key: value for key, value in BASE.items() if key != section})


def test_keys_of_other_versions_are_kept_as_stored() -> None:
    stored = {**BASE, "load_start": {"load_1min": 0.5}}
    assert manifest_from_json(stored).as_stored == stored


def test_a_damaged_run_gives_one_line_with_the_file_and_the_field(tmp_path: Path) -> None:
    writer = create_run(tmp_path, manifest())
    writer.update({"mark_cost_ns": "cheap"})
    with pytest.raises(UserError, match=r"run\.sqlite cannot be read as a run: manifest: .*mark_cost_ns"):
        read_run(writer.path)


def test_a_run_that_could_not_be_read_back_is_not_created(tmp_path: Path) -> None:
    good = manifest()
    framework = replace(good.framework, conditions={"threads": {1, 2}})
    data = replace(good.data, train_images="many", kind=DataKind.CUSTOM)
    for bad in (replace(good, framework=framework), replace(good, data=data)):
        with pytest.raises(UserError):
            create_run(tmp_path, bad)
    assert list(tmp_path.iterdir()) == []


class Uncopyable:
    """An object like a non-leaf tensor: a copy of it is an error of its own kind."""

    def __deepcopy__(self, memo: object) -> "Uncopyable":
        raise RuntimeError("only leaf tensors can be copied")


@dataclass
class Setting:
    threads: int


def holds_itself() -> list[object]:
    loop: list[object] = []
    loop.append(loop)
    return loop


def nested(levels: int) -> list[object]:
    deep: list[object] = []
    for _ in range(levels):
        deep = [deep]
    return deep


@pytest.mark.parametrize(
    "condition", [holds_itself(), nested(200_000), Uncopyable(), Setting(2)], ids=lambda c: type(c).__name__
)
def test_a_condition_that_is_not_json_gives_one_line(tmp_path: Path, condition: object) -> None:
    good = manifest()
    framework = replace(good.framework, conditions={"custom": condition})
    with pytest.raises(UserError, match="not JSON: custom: "):
        create_run(tmp_path, replace(good, framework=framework))
    assert list(tmp_path.iterdir()) == []


def test_a_custom_run_stores_only_the_settings_that_it_has() -> None:
    good = manifest()
    config = Config(framework="own", preset="own", batch_size=8, fence="none")
    stored = manifest_to_json(replace(good, config=config, data=replace(good.data, kind=DataKind.CUSTOM)))
    assert set(stored["config"]) == {"framework", "label", "preset", "batch_size", "fence"}
    assert not {"order", "turn"} & set(stored)


def test_any_dict_is_a_condition() -> None:
    good = manifest()
    framework = replace(good.framework, conditions={"layers": Counter(conv=20, linear=1)})
    assert manifest_to_json(replace(good, framework=framework))["framework"]["layers"] == {"conv": 20, "linear": 1}


def test_an_older_custom_run_may_have_whole_floats_and_no_label() -> None:
    changes = {"config": {"batch_size": 32.0, "label": None}, "data": {"train_images": 40000.0}}
    read = manifest_from_json(merged(BASE, changes))
    assert (read.config.batch_size, read.config.label, read.data.train_images) == (32, "", 40000)
    with pytest.raises(UserError, match=r"batch_size"):
        manifest_from_json(merged(BASE, {"config": {"batch_size": 32.5}}))

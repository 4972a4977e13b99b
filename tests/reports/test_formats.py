"""Files for other programs, against those programs' own schema or another's reader.

The readers are npm packages (`.ci/package.json`); where they are not installed, these tests are skipped.
"""

import json
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from epoch_gap.profiler.drilldown.stacks import parse_raw
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports.export.perfetto import run_to_trace
from epoch_gap.reports.export.speedscope import stacks_to_speedscope
from epoch_gap.workloads.loop_lines import phase_of
from tests.helpers.drilldowns import raw_stacks
from tests.helpers.fake_training import scripted_run
from tests.helpers.paths import ROOT
from tests.helpers.recorded import readings
from tests.helpers.runs import MakeRun

PACKAGES = ROOT / ".ci" / "node_modules"
SCHEMA = PACKAGES / "speedscope" / "dist" / "release" / "file-format-schema.json"
READER = PACKAGES / "@tracerbench" / "trace-model"
HOW = "is not there: npm install --prefix .ci --no-package-lock --ignore-scripts"


@pytest.mark.skipif(not SCHEMA.is_file(), reason=f"speedscope's schema {HOW}")
def test_stacks_are_valid_by_speedscopes_own_schema() -> None:
    schema = json.loads(SCHEMA.read_text())
    data = json.loads(json.dumps(stacks_to_speedscope(parse_raw(raw_stacks(), phase_of, 50), "a run")))
    jsonschema.validate(data, schema, jsonschema.Draft7Validator)
    del data["profiles"][0]["samples"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema, jsonschema.Draft7Validator)


def read(made: dict[str, Any]) -> dict[str, Any]:
    """A trace as read by TracerBench's model."""
    command = ["node", str(ROOT / "tests" / "helpers" / "read_trace.js"), str(PACKAGES)]
    result = subprocess.run(command, input=json.dumps(made), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


reader = pytest.mark.skipif(not (READER.is_dir() and shutil.which("node")), reason=f"TracerBench's reader {HOW}")


@reader
def test_a_trace_is_read_as_steps_with_their_phases_in_them(tmp_path: Path) -> None:
    run = scripted_run(tmp_path, lazy=True)
    steps, _ = read(run_to_trace(run))["threads"]
    assert run.id in steps["process"]
    assert steps["name"] == "steps"
    phases: Counter[str] = Counter()
    for slice_ in steps["slices"]:
        if slice_["name"] in list(Phase):
            assert slice_["parent"].startswith(("train ", "evaluate ")), slice_
            phases[slice_["name"]] += slice_["us"]
        else:
            assert slice_["parent"] is None
    whole = len(run.train) + len(run.evaluate)
    assert sum(slice_["parent"] is None for slice_ in steps["slices"]) == whole
    for phase, ns in run.train.phase_ns.items():
        assert phases[phase] == pytest.approx(int(ns.sum()) / 1000), phase


@reader
def test_the_trace_has_once_per_epoch_phases_and_machine_readings(make_run: MakeRun) -> None:
    run = replace(make_run([1.0] * 6, evaluation=[0.5]), readings=readings())
    found = read(run_to_trace(run))
    once = found["threads"][1]
    assert (once["name"], [slice_["name"] for slice_ in once["slices"]]) == ("once per epoch", [Phase.EPOCH_START])
    assert set(Counter(found["counters"]).values()) == {len(run.readings)}

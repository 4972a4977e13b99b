"""Stored conditions of drill-downs: read as written, and damaged ones are refused in one line."""

from dataclasses import replace
from typing import Any

import pytest

from epoch_gap.profiler.drilldown.conditions import DrilldownConditions, conditions_from_json, conditions_to_json
from epoch_gap.profiler.drilldown.layers import layers_from_json, layers_to_json
from epoch_gap.profiler.drilldown.lines import LineTimes, lines_from_json, lines_to_json
from epoch_gap.profiler.drilldown.matching import explains
from epoch_gap.profiler.drilldown.stacks import stacks_from_text
from epoch_gap.profiler.errors import UserError
from tests.helpers.drilldowns import CONDITIONS, drilldown
from tests.helpers.runs import MakeRun

STORED = conditions_to_json(CONDITIONS)


def test_conditions_read_back_as_written() -> None:
    assert conditions_from_json(STORED) == CONDITIONS
    assert conditions_from_json({**STORED, "steps": 3}) == CONDITIONS, "beside the other keys of a file"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"batch_size": "2"}, "batch_size"),
        ({"framework": {"name": "fake"}}, "version"),
        ({"data": {"kind": "mnist"}}, "data.kind"),
        ({"framework": 3}, "framework"),
    ],
)
def test_damaged_conditions_are_refused_with_the_name_of_the_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError, match=field):
        conditions_from_json({**STORED, **changed})


def test_a_file_without_a_batch_size_is_refused_whatever_it_holds() -> None:
    times = LineTimes([], steps=2, slowdown=1.0, conditions=CONDITIONS)
    for read, stored in (
        (layers_from_json, layers_to_json(drilldown({"fc": 1.0}, {}))),
        (lines_from_json, lines_to_json(times)),
    ):
        assert read(stored).conditions == CONDITIONS
        for key in ("batch_size", "framework"):
            with pytest.raises(UserError, match=key):
                read({k: v for k, v in stored.items() if k != key})
    numbers = {"outside": 0, "rate": 50, "steps": 2}
    for broken in ("x", {"batch_size": 2}, [1]):
        with pytest.raises(UserError):
            stacks_from_text("", {**numbers, "conditions": broken})
    assert stacks_from_text("", {**numbers, "conditions": {}}).conditions is None


def test_older_lines_without_conditions_are_read() -> None:
    assert lines_from_json({"steps": 2, "slowdown": 1.0, "functions": []}).conditions is None


def test_a_drilldown_of_another_commit_does_not_explain_a_run(make_run: MakeRun) -> None:
    """Two commits of a checkout have the version of its last release."""
    run = make_run([1.0] * 5, framework={"installed_commit": "v1-3-g0123456789"}, config={"batch_size": 10})
    own = DrilldownConditions.from_manifest(run.manifest)
    assert conditions_from_json(conditions_to_json(own)) == own
    assert explains(own, run.manifest)
    other = replace(own, framework=replace(own.framework, installed_commit="v1-4-gabcdef0123"))
    release = replace(own, framework=replace(own.framework, installed_commit=None))
    assert not explains(other, run.manifest)
    assert not explains(release, run.manifest)

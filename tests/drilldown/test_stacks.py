"""Stacks in py-spy's raw format, with known counts."""

from dataclasses import replace

import pytest
from matplotlib.colors import to_rgb

from epoch_gap.profiler.drilldown.stacks import (
    Frame,
    Stacks,
    boxes,
    counts_to_json,
    hottest_functions,
    parse_raw,
    stacks_from_text,
    stacks_to_text,
)
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import BUILT_IN, Phase
from epoch_gap.reports import theme
from epoch_gap.reports.charts import flame
from epoch_gap.reports.export.speedscope import stacks_to_speedscope
from epoch_gap.workloads.loop_lines import PHASES, phase_of
from tests.helpers.drilldowns import CONDITIONS, line_of, raw_stacks


def test_a_sample_belongs_to_the_phase_of_its_line_in_the_loop() -> None:
    found = parse_raw(raw_stacks(), phase_of, 50)
    assert found.by_phase() == {"forward": 50, "backward": 100, "fetch": 3, "collate": 5}
    assert found.outside == 7


def test_every_phase_of_a_step_has_lines_in_the_loop() -> None:
    in_step = BUILT_IN - {Phase.EVALUATE, Phase.CHECKPOINT, Phase.OTHER, Phase.COMPILED}
    assert in_step <= set(PHASES.values())
    assert phase_of(Frame("_train_epoch", "elsewhere/loop.py", line_of(Phase.FORWARD))) is None
    assert phase_of(Frame("_evaluate", "workloads/loop.py", line_of(Phase.FORWARD))) is None


def test_the_hottest_functions_have_most_samples_as_the_innermost_one() -> None:
    found = parse_raw(raw_stacks(), phase_of, 50)
    assert hottest_functions(found, "lucid/", 3) == [
        ("lucid/tensor.py", "backward", 100),
        ("lucid/ops.py", "einsum", 40),
        ("lucid/conv.py", "forward", 10),
    ]


def test_a_flame_graph_is_as_wide_as_its_samples_with_callees_above_callers() -> None:
    found = parse_raw(raw_stacks(), phase_of, 50)
    rows = boxes(found, list(Phase), 40)
    phases = [(box.frame.function, box.start, box.samples) for box in rows if box.depth == 0]
    assert phases == [("fetch", 0, 3), ("collate", 3, 5), ("forward", 8, 50), ("backward", 58, 100)]
    for box in rows:
        if box.depth:
            assert any(
                under.depth == box.depth - 1
                and under.start <= box.start
                and box.start + box.samples <= under.start + under.samples
                for under in rows
            )


def test_seconds_per_step_by_path_ignore_lines() -> None:
    found = parse_raw(raw_stacks(), phase_of, rate=50, steps=2)
    seconds = found.seconds_by_path(40)
    assert seconds[("forward", ""),] == pytest.approx(50 / 50 / 2)
    assert seconds[("forward", ""), ("forward", "lucid/conv.py")] == pytest.approx(50 / 50 / 2)
    assert seconds[("forward", ""), ("forward", "lucid/conv.py"), ("einsum", "lucid/ops.py")] == pytest.approx(0.4)


def test_a_difference_is_red_if_the_fast_side_has_less_and_pale_if_equal() -> None:
    slow = parse_raw(raw_stacks(), phase_of, rate=50)
    half = parse_raw(raw_stacks().replace(" 100\n", " 50\n"), phase_of, rate=50)
    figure = flame.static(flame.difference(slow, half, "difference"))
    red = to_rgb(theme.MORE)
    strength = {  # of red on white
        p.get_x(): (1 - p.get_facecolor()[2]) / (1 - red[2]) for p in figure.axes[0].patches if p.get_y() < 0
    }
    assert strength[58] == pytest.approx(0.1 + 0.8 * 0.5, abs=0.01), "backward, half of it missing"
    assert strength[8] == pytest.approx(0.1, abs=0.01), "forward, the same on both sides"


def test_the_speedscope_file_follows_its_format() -> None:
    """The required keys and the invariants of https://www.speedscope.app/file-format-schema.json."""
    data = stacks_to_speedscope(parse_raw(raw_stacks(), phase_of, 50), "a run")
    profile = data["profiles"][0]
    assert {"type", "name", "unit", "startValue", "endValue", "samples", "weights"} <= profile.keys()
    assert (profile["type"], profile["unit"]) == ("sampled", "seconds")
    assert len(profile["samples"]) == len(profile["weights"]) == 5
    assert all(0 <= i < len(data["shared"]["frames"]) for stack in profile["samples"] for i in stack)
    assert profile["endValue"] == pytest.approx(158 / 50)
    assert all("name" in frame for frame in data["shared"]["frames"])


@pytest.mark.parametrize("text", ["no count at the end\n", "a (b.py:1);c\n"])
def test_text_in_another_format_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match="raw format"):
        parse_raw(text, phase_of, 50)


def test_stored_stacks_read_back_the_same_even_if_the_loop_has_changed() -> None:
    found = parse_raw(raw_stacks(), phase_of, rate=50, steps=2)
    stored = stacks_to_text(found)
    assert "workloads/loop.py" not in stored
    assert stacks_from_text(stored, counts_to_json(found)) == found
    known = replace(found, conditions=CONDITIONS)
    assert stacks_from_text(stored, counts_to_json(known)) == known
    older = {"outside": 7, "rate": 50, "steps": 2}
    assert stacks_from_text(stored, older) == found, "stored without conditions"
    with pytest.raises(UserError, match="outside"):
        stacks_from_text(stored, {"rate": 50, "steps": 2})


def test_stacks_of_a_recursive_program_are_drawn_as_deep_as_asked() -> None:
    """3000 frames: neither Python's recursion limit nor the square of the depth matters."""
    deep = tuple(Frame(f"f{i}", "own.py", i) for i in range(3000))
    found = Stacks({(Frame(Phase.FORWARD, "", 0), *deep): 5, (Frame(Phase.FORWARD, "", 0), *deep[:10]): 2}, 0, 100)
    drawn = boxes(found, list(Phase), 40)
    assert [box.samples for box in drawn] == [7] * 11 + [5] * 30
    assert len(found.seconds_by_path(40)) == 41
    assert stacks_to_text(found).count(";") == 3010

"""The report of a distributed training: its tables, page, pictures and trace."""

import json
from typing import Any

import pytest

from epoch_gap.profiler.distributed.analysis import analyse_ranks
from epoch_gap.profiler.distributed.scaling import ScalingMode, measure_scaling
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.ranks import ranks_figure, timeline_figure
from epoch_gap.reports.charts.scaling import headline, scaling_figure
from epoch_gap.reports.export.ranks_trace import ranks_trace
from epoch_gap.reports.page.ranks_page import render_ranks
from epoch_gap.reports.ranks import RanksView, collective_rows, excess_rows, phase_rows, rank_rows
from epoch_gap.reports.scaling import scaling_csv
from epoch_gap.reports.terminal.ranks import ranks_tables, scaling_tables
from tests.helpers.ranks import WORK, Script, late, simulate, without_collectives
from tests.helpers.scaling import ALONE, TWO


def view_of(script: Script, **changes: Any) -> RanksView:
    return RanksView(analyse_ranks(simulate(script, **changes)))


LATE = Script(noise=0.01, delays={Phase.BACKWARD: late(1, 200)})


def test_the_verdict_names_the_rank_the_phase_and_the_cost() -> None:
    verdict = view_of(LATE).verdict
    assert verdict.startswith("Rank 1 is late, last in 100.0 % of the steps: it costs 2.0")
    assert "The cause is backward, 200 ms (200 ms to 201 ms) longer per step than on the other ranks" in verdict


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(noise=0.01), "none is late"),
        (Script(steps=6), "nobody is blamed: only 4 steps"),
        (
            Script(noise=0.01, delays={Phase.BACKWARD: late(1, 100), Phase.COLLATE: late(1, 100)}),
            "No phase explains 80% of it",
        ),
    ],
)
def test_what_else_the_verdict_may_be(script: Script, words: str) -> None:
    assert words in view_of(script).verdict


def test_the_tables_have_every_rank_phase_and_collective() -> None:
    view = view_of(LATE)
    by_rank = rank_rows(view)
    assert by_rank[0] == ["rank", "step", "own work", "wait", "transfer", "late in", "costs per epoch"]
    assert [row[0] for row in by_rank[1:]] == ["0", "1"]
    assert [row[0] for row in phase_rows(view)][-4:] == ["wait", "transfer", "all communication", "step"]
    assert [row[0] for row in collective_rows(view)[1:]] == ["1 broadcast", *(f"{i} all_reduce" for i in (2, 3, 4))]
    assert excess_rows(view)[1][0] == "backward"


def test_many_ranks_are_listed_by_what_they_cost() -> None:
    view = view_of(Script(ranks=40, steps=30, noise=0.01, delays={Phase.BACKWARD: late(37, 200, 40)}))
    rows = rank_rows(view)
    assert len(rows) == 17
    assert "37" in [row[0] for row in rows]


def test_the_terminal_ends_with_the_verdict() -> None:
    text = ranks_tables(view_of(LATE))
    assert text.splitlines()[-1].startswith("Rank 1 is late")
    assert "all ranks read one clock" in text
    assert "means over 58 steps" in text


def test_clocks_of_several_hosts_are_shown_with_their_error() -> None:
    text = ranks_tables(view_of(Script(noise=0.01, boots=("a", "b"), offset_ms={1: 500.0})))
    assert "the ranks' clocks differ; offsets estimated within" in text


def test_threads_that_torchrun_limits_are_said() -> None:
    environment = {"variables": {"OMP_NUM_THREADS": "1"}, "machine": {"cores_usable": 8}}
    view = view_of(Script(noise=0.01), environment=environment, conditions={"threads": 1})
    assert "threads per process: 1; cores of the host: 8" in view.conditions
    assert any("as torchrun sets it" in line for line in view.conditions)


def test_the_cost_of_timing_the_collectives_is_printed() -> None:
    view = view_of(Script(), conditions={"collective_cost_ns": 35_500})
    assert "timing the collectives costs < 0.1 % of a step" in view.conditions


def test_the_page_is_one_file_without_a_network_and_names_what_it_shows() -> None:
    files = render_ranks(view_of(LATE))
    page = files["index.html"]
    assert page is not None
    text = page.decode()
    assert "default-src 'none'" in text
    assert "Rank 1 is late" in text
    assert "Where the straggler works longer" in text
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert files["ranks.png"] is not None
    assert files["ranks.png"].startswith(b"\x89PNG")


def test_without_times_of_collectives_the_phases_are_still_shown() -> None:
    view = RanksView(analyse_ranks(without_collectives(simulate(LATE), rank=1)))
    files = render_ranks(view)
    assert files["timeline.png"] is None
    assert "nobody is blamed" in view.verdict
    assert [row[0] for row in phase_rows(view)][-1] == "step"
    assert collective_rows(view) == []


def test_the_trace_has_a_track_per_rank_and_arrows_from_the_last_to_those_that_wait() -> None:
    trace = json.loads(json.dumps(ranks_trace(view_of(LATE))))
    events = trace["traceEvents"]
    names = {event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names == {"rank 0", "rank 1"}
    starts, ends = ({e["id"]: e for e in events if e["ph"] == end} for end in "sf")
    assert starts.keys() == ends.keys()
    in_backward = [i for i, e in starts.items() if e["pid"] == 2]
    assert len(in_backward) >= 3 * 58  # rank 1 is last at every bucket
    assert all(ends[i]["ts"] >= starts[i]["ts"] for i in starts)
    assert all(ends[i]["pid"] != starts[i]["pid"] for i in starts)


def test_a_long_trace_is_thinned_evenly() -> None:
    view = view_of(Script(steps=200, noise=0.01))
    trace = ranks_trace(view, most_steps=100)
    assert trace["otherData"] == {"steps of each rank": "50 of 198"}


def test_pictures_draw_all_ranks(blank_pictures: None) -> None:
    view = view_of(Script(ranks=3, noise=0.01))
    assert len(ranks_figure(view).axes) >= 3
    timeline = timeline_figure(view)
    assert timeline is not None
    assert [label.get_text() for label in timeline.axes[0].get_yticklabels()] == ["rank 0", "rank 1", "rank 2"]


def test_the_bars_of_the_picture_of_scaling_are_what_the_efficiency_lacks() -> None:
    modes = {mode: measure_scaling([ALONE, TWO]) for mode in ScalingMode}
    (axes,) = scaling_figure(modes, "a source").get_axes()
    for row in range(len(modes)):
        widths = [bar.get_width() for bar in axes.patches if round(bar.get_center()[1]) == row]
        assert sorted(widths) == pytest.approx([100 * 2 / 60, 100 * 8 / 60])
    lost = "efficiency 83.3 % (82 to 85 %), 10.0 s (8.96 s to 11.0 s) lost per epoch"
    assert [text.get_text() for text in axes.texts] == [
        f"2 ranks, {mode}, 64 images per step each: {lost}" for mode in modes
    ]


@pytest.mark.parametrize("phase", [Phase.COLLATE, Phase.BACKWARD])
def test_the_map_of_arrivals_shows_a_late_rank_wherever_the_others_wait_for_it(
    blank_pictures: None, phase: Phase
) -> None:
    """A rank that is late in collate is waited for in forward, and arrives at the last collective like the others."""
    timeline = timeline_figure(view_of(Script(delays={phase: late(1, 200)})))
    assert timeline is not None
    (cells,) = (image.get_array() for axes in timeline.axes for image in axes.images)
    assert cells is not None
    assert cells[0].max() == 0
    assert cells[1].tolist() == pytest.approx([200] * 58)


def test_scaling_is_shown_as_tables_a_picture_and_a_file() -> None:
    modes = {mode: measure_scaling([ALONE, TWO]) for mode in ScalingMode}
    text = scaling_tables(modes)
    assert "strong scaling" in text
    assert "weak scaling" in text
    assert headline(modes) == "Efficiency of the epoch, strong: 83.3 % with 2 ranks; weak: 83.3 % with 2 ranks"
    assert canvas.png(scaling_figure(modes, "a source")).startswith(b"\x89PNG")
    rows = scaling_csv(modes).splitlines()
    assert rows[0].startswith("mode,ranks,distributed,batch_size,phase,epoch_s,lost_s")
    assert len(rows) == 1 + 2 * (1 + 3)


def test_the_pictures_leave_out_phases_that_are_too_short_to_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A legend of thirteen phases was wider than the picture, whose panels shrank to half of it."""
    monkeypatch.setitem(WORK, Phase.FETCH, 0.2)
    view = view_of(Script(delays={Phase.BACKWARD: late(1, 200)}))
    for figure in (ranks_figure(view), timeline_figure(view)):
        assert figure is not None
        legend = figure.axes[0].get_legend()
        assert legend is not None
        names = [text.get_text() for text in legend.get_texts()]
        assert "fetch" not in names
        assert {"collate", "backward", "wait"} <= set(names)

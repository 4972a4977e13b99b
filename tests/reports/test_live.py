"""The charts of a page with JavaScript: their numbers, and whether Plotly accepts them."""

import json
import re
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.drilldown.conditions import DrilldownConditions
from epoch_gap.profiler.drilldown.matching import Drilldowns
from epoch_gap.profiler.drilldown.stacks import Frame, Stacks
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import formats
from epoch_gap.reports.charts import breakdown, flame, gap, layers, roofline, timeline
from epoch_gap.reports.charts.live import Live, escaped
from epoch_gap.reports.charts.registry import CHARTS
from epoch_gap.reports.page import rows as page_rows
from epoch_gap.reports.sentences.layers import describe_layers
from epoch_gap.reports.terminal.layers import layer_table
from epoch_gap.reports.view import View
from tests.helpers.drilldowns import drilldown
from tests.helpers.live import check_by_plotly
from tests.helpers.runs import MakeRun, with_materialize
from tests.helpers.views import build_view

STACKS = Stacks(
    {
        (Frame("forward", "", 0), Frame("conv", "conv.py", 1)): 30,
        (Frame("forward", "", 0), Frame("conv", "conv.py", 2)): 10,
        (Frame("backward", "", 0), Frame("<lambda>", "norm.py", 5)): 60,
    },
    outside=3,
    rate=50,
)


@pytest.fixture
def view(make_run: MakeRun) -> View:
    """Two subjects with fenced steps, layers and stacks."""
    noisy, sides = np.random.default_rng(5).normal(1, 0.01, 30), {"slow": (2.0, "fake"), "a<b": (1.0, "other")}
    runs = [
        make_run(noisy * s, config={"label": label, "framework": name}, framework={"name": name}, evaluation=[0.2])
        for label, (s, name) in sides.items()
    ]
    for run in runs:
        run.train.fenced[10:15] = True
    watched = [
        drilldown({"fc": 0.5, "pool": 0.1}, {"fc": 1.0}, conditions=DrilldownConditions.from_manifest(run.manifest))
        for run in runs
    ]
    return build_view(runs, drilldowns=Drilldowns(watched, watched, {}, {"fake-cpu": STACKS, "other-cpu": STACKS}))


def charts(view: View) -> dict[str, Live]:
    flames = {graph.title: flame.live(graph) for graph in flame.flames(view)}
    return {name: chart.live(view) for name, chart in CHARTS.items() if chart.shown(view)} | flames


def test_plotly_accepts_every_variant_of_every_chart(view: View) -> None:
    found = charts(view)
    assert set(CHARTS) - {"experiments", "curves"} < set(found)  # see test_experiments.py and test_curve.py
    for live in found.values():
        check_by_plotly(live)


def test_there_is_a_variant_for_every_choice(view: View) -> None:
    for live in charts(view).values():
        options = [control.options for control in live.controls]
        keys = {"|".join(chosen) for chosen in product(*options)}
        assert set(live.variants) == keys
        names = {trace.get("name") for spec in live.variants.values() for trace in spec["data"]}
        assert {name for name, _ in live.switches} <= names


def segments(spec: dict[str, Any]) -> dict[str, list[float | None]]:
    return {trace["name"]: trace["x"] for trace in spec["data"] if trace["type"] == "bar"}


def test_the_bars_are_the_summarys_seconds_and_shares(view: View) -> None:
    live = breakdown.live(view)
    both = segments(live.variants["both|seconds"])
    charged = segments(live.variants["as charged|seconds"])
    done = segments(live.variants["where the work was done|seconds"])
    shares = segments(live.variants["as charged|share of the whole"])
    subjects = view.summary["subjects"]
    for phase in ("forward", "backward", "evaluate"):
        assert charged[phase] == [s["phases"]["asrun"][phase]["seconds"] for s in subjects]
        assert done[phase] == pytest.approx([s["phases"]["fenced"][phase]["seconds"] for s in subjects])
        assert shares[phase] == pytest.approx([100 * s["phases"]["asrun"][phase]["share"] for s in subjects])
        assert both[phase][::2] == charged[phase]
        assert both[phase][1::2] == done[phase]


def test_a_hover_label_of_a_bar_has_seconds_interval_and_share(view: View) -> None:
    (trace,) = (t for t in breakdown.live(view).variants["both|seconds"]["data"] if t["name"] == "backward")
    cell = view.summary["subjects"][0]["phases"]["asrun"]["backward"]
    assert formats.seconds(cell["seconds"]) in trace["hovertext"][0]
    assert formats.within(cell["low"], cell["high"]) in trace["hovertext"][0]
    assert formats.percent(cell["share"]) in trace["hovertext"][0]


def test_the_articles_ratio_is_beside_seconds_and_not_beside_shares(make_run: MakeRun) -> None:
    sides = (("lucid", 2.0), ("torch", 1.0))
    view = build_view([make_run([s] * 6, config={"framework": n}, framework={"name": n}) for n, s in sides])
    seconds, shares = (breakdown.live(view).variants[unit] for unit in ("seconds", "share of the whole"))
    outlines = [shape["x1"] for shape in seconds["layout"]["shapes"]]
    assert outlines == [136.0, 54.0]
    assert any("article 2.5x" in annotation["text"] for annotation in seconds["layout"]["annotations"])
    assert seconds["layout"]["xaxis"]["range"][1] < outlines[1], "the article has a scale of its own"
    assert "article" not in json.dumps(shares)


def test_a_phase_that_one_side_lacks_is_null_there_and_never_0(make_run: MakeRun) -> None:
    lazy, eager = make_run([2.0] * 6, config={"label": "lazy"}), make_run([1.0] * 6)
    bars = segments(breakdown.live(build_view([with_materialize(lazy), eager])).variants["seconds"])
    assert bars[Phase.MATERIALIZE] == [pytest.approx(10.4 * (2.0 / 4 - 1e-3)), None]


def test_an_unknown_interval_has_no_whisker(make_run: MakeRun) -> None:
    """One steady step gives no spread."""
    noisy = np.random.default_rng(5).normal(2, 0.01, 30)
    view = build_view(
        [make_run(noisy, config={"label": "known"}), make_run([1.0, 1.0], config={"label": "seen once"})]
    )
    known, unknown = (s.epoch.seconds for s in view.subjects)
    assert known.low is not None
    assert unknown.low is None
    (bars,) = (trace for trace in breakdown.live(view).variants["seconds"]["data"] if "error_x" in trace)
    assert (bars["x"], bars["y"]) == ([known.value], [0])
    assert bars["error_x"]["arrayminus"] == [pytest.approx(known.value - known.low)]
    alone = build_view([make_run([1.0, 1.0]), make_run([2.0, 2.0], config={"label": "seen once"})])
    (steps,) = (trace for trace in gap.live(alone).variants["as charged"]["data"] if "error_y" in trace)
    assert steps["x"] == steps["error_y"]["array"] == []


def test_the_waterfalls_columns_sum_to_the_gap_in_either_timing_mode(view: View) -> None:
    live = gap.live(view)
    for mode, whole in (("as charged", view.gaps[0]), ("where the work was done", view.gaps[0].fenced)):
        assert whole is not None
        ends, steps, *_ = live.variants[f"{mode}|seconds"]["data"]
        assert sum(steps["y"]) == pytest.approx(whole.seconds.value)
        assert ends["y"][1] - ends["y"][0] == pytest.approx(whole.seconds.value)
        assert steps["base"] == pytest.approx([ends["y"][0], *(np.cumsum(steps["y"])[:-1] + ends["y"][0])])
        relative, *_ = live.variants[f"{mode}|share of the gap"]["data"]
        assert sum(relative["y"]) == pytest.approx(100)


def fenced_pair(make_run: MakeRun, slow: float, factor: float) -> View:
    """Two subjects, one `slow` times as slow, its fenced steps `factor` times as long as its as-run ones."""
    runs = []
    for label, mean, longer in (("slow", slow, factor), ("fast", 1.0, 1.0)):
        seconds = np.random.default_rng(5).normal(mean, 0.01 * mean, 30)
        seconds[10:15] *= longer
        runs.append(make_run(seconds, config={"label": label}))
        runs[-1].train.fenced[10:15] = True
    return build_view(runs)


@pytest.mark.parametrize(("factor", "pattern"), [(1.0, ""), (1.5, "/")])
def test_fenced_columns_are_hatched_if_fences_changed_the_step_and_carry_the_cost_of_fences(
    make_run: MakeRun, factor: float, pattern: str
) -> None:
    view = fenced_pair(make_run, 2.0, factor)
    live = gap.live(view)
    for unit, place in (("seconds", 1), ("share of the gap", 0)):
        done, charged = (live.variants[f"{mode}|{unit}"] for mode in ("where the work was done", "as charged"))
        assert set(done["data"][place]["marker"]["pattern"]["shape"]) == {pattern}
        assert set(charged["data"][place]["marker"]["pattern"]["shape"]) == {""}
        (note,) = done["layout"]["annotations"]
        finding, *costs = note["text"].split("<br>")
        assert finding.endswith("takes is work done in backward")
        for subject, line in zip(view.subjects, costs, strict=True):
            effect = subject.fence_effect
            assert effect is not None
            times = formats.times(effect.perturbation.value)
            assert line.startswith(f"{subject.title}: a fenced step takes {times} times as long as an as-run step")
        assert charged["layout"]["annotations"] == []


def test_shares_of_the_gap_need_a_gap_in_that_timing_mode(make_run: MakeRun) -> None:
    """As charged the two cannot be distinguished; fences make one of them slower."""
    view = fenced_pair(make_run, 1.001, 2.0)
    headline = view.gaps[0]
    assert headline.fenced is not None
    assert (headline.verdict, headline.fenced.verdict) == ("undecided", "slower")
    live = gap.live(view)
    close, slower = (live.variants[f"{mode}|share of the gap"] for mode in live.controls[0].options)
    assert "% of the gap" not in json.dumps(close)
    assert "of the gap" not in json.dumps(live.variants["as charged|seconds"])
    assert (
        close["layout"]["annotations"][0]["text"]
        == "undecided in this timing mode: there is no gap to divide into shares"
    )
    assert slower["layout"]["yaxis"]["title"]["text"] == "% of the gap"
    assert page_rows.phase_row(view, Phase.BACKWARD)["gap"]["share"] == ""


def test_without_a_gap_there_is_no_choice_of_shares(make_run: MakeRun) -> None:
    assert [c.name for c in gap.live(fenced_pair(make_run, 1.001, 1.0)).controls] == ["timing mode"]
    assert [c.name for c in gap.live(fenced_pair(make_run, 2.0, 1.0)).controls] == ["timing mode", "unit"]


def test_the_timeline_has_every_step_once(view: View) -> None:
    live = timeline.live(view)
    for subject in view.subjects:
        (run,) = subject.runs
        spec = next(spec for title, spec in live.variants.items() if title.startswith(subject.title))
        traces = [trace for trace in spec["data"] if trace.get("mode") == "markers"]
        points = dict(pair for trace in traces for pair in zip(trace["x"], trace["y"], strict=True))
        assert sorted(points) == list(range(1, len(run.train) + 1))
        assert [points[i] for i in sorted(points)] == pytest.approx(list(run.train.wall_ns * 1e-9), abs=1e-6)


def test_lines_of_one_function_are_one_rectangle_of_a_flame_graph(view: View) -> None:
    chart = flame.live(flame.stacks_flame(STACKS, "x")).variants[""]["data"][0]
    boxes = dict(zip(chart["labels"], chart["values"], strict=True))
    assert boxes == {"all": 100, "forward": 40, "conv": 40, "backward": 60, "&lt;lambda&gt;": 60}
    parents = dict(zip(chart["ids"], chart["parents"], strict=True))
    assert parents["all"] == ""
    assert set(parents.values()) <= {"", *parents}


def test_a_function_is_as_wide_as_its_lines_together_however_narrow_each_is() -> None:
    spread = {(Frame("forward", "", 0), Frame("conv", "conv.py", line)): 1 for line in range(1, 1001)}
    chart = flame.live(flame.stacks_flame(Stacks(spread, outside=0, rate=50), "x")).variants[""]["data"][0]
    assert dict(zip(chart["labels"], chart["values"], strict=True)) == {"all": 1000, "forward": 1000, "conv": 1000}


CONV = "layer1.0.conv1"
OPERATIONS = 2 * 64 * 64 * 3 * 3 * 32 * 32
"""of one image going forward: multiplications and additions of 64 by 64 kernels of 3 by 3 at 32 by 32 places"""


def watched_pair(make_run: MakeRun, *peak_rates: dict[str, float]) -> View:
    """Two frameworks of which one layer was watched, 0.2 s and 0.1 s a step of 10 images, and these peak rates."""
    frameworks = [{"name": name, "title": name} for name in ("torch", "lucid")]
    runs = [make_run([s] * 6, framework=f) for s, f in zip((2.0, 1.0), frameworks, strict=True)]
    watched = [
        replace(
            drilldown({CONV: s}, {}, conditions=DrilldownConditions.from_manifest(run.manifest)), peak_rates=found
        )
        for s, run, found in zip((0.2, 0.1), runs, peak_rates, strict=True)
    ]
    return build_view(runs, drilldowns=Drilldowns(layers=watched))


@pytest.mark.parametrize(
    "peak_rates",
    [
        ({"NumPy GFLOP/s": 50.0, "NumPy GB/s": 20.0}, {"NumPy GFLOP/s": 100.0, "NumPy GB/s": 10.0}),
        ({}, {"NumPy GFLOP/s": 100.0, "NumPy GB/s": 20.0}),
    ],
    ids=["each the best of one", "one side's alone"],
)
def test_all_layers_share_one_roofline_of_the_best_measured_rates(
    make_run: MakeRun, peak_rates: tuple[dict[str, float], ...]
) -> None:
    view = watched_pair(make_run, *peak_rates)
    slow, fast = (formats.percent(10 * OPERATIONS / s / 100e9) for s in (0.2, 0.1))
    (heat,) = layers.live(view).variants[""]["data"]
    place = heat["x"].index(CONV)
    assert [row[place].rpartition(", ")[2] for row in heat["text"]] == [
        f"{slow} of the roofline",
        f"{fast} of the roofline",
    ]
    (row,) = page_rows.layer_rows(view)
    assert row[2:4] == [f"200 ms, {slow} of peak", f"100 ms, {fast} of peak"]
    said = roofline.finding(view)
    assert f"{view.subjects[0].title} {slow}" in said
    assert f"{view.subjects[1].title} {fast}" in said


def test_without_peak_rates_there_is_no_roofline_and_the_rest_is_shown(make_run: MakeRun) -> None:
    view = watched_pair(make_run, {}, {})
    assert not roofline.shown(view)
    assert "roof" not in json.dumps(layers.live(view).as_json())
    assert page_rows.layer_rows(view)[0][2:4] == ["200 ms", "100 ms"]
    d = next(iter(view.drilldowns.layers.values()))
    assert not any("peak" in note or "rates" in note for note in describe_layers(d, view.peak_rates))
    assert "GFLOP/s" in layer_table(d)


def test_labels_are_text_not_markup(view: View) -> None:
    assert escaped("</b><img src=x>&") == "&lt;/b&gt;&lt;img src=x&gt;&amp;"
    said = json.dumps([live.as_json()["variants"] for live in charts(view).values()])
    assert "a&lt;b" in said
    assert not re.search(r"<b>[^\"]*a<b", said)

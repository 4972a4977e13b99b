"""The charts of a page with JavaScript: their numbers, and that Plotly takes them."""

import json
import re
from itertools import product
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from profiler.drilldown.found import Found
from profiler.drilldown.stacks import Frame, Stacks
from profiler.phases import Phase
from reports import theme
from reports.charts import CHARTS, breakdown, flame, gap, timeline
from reports.charts.live import Live, plain
from reports.view import View, build
from tests.conftest import MakeRun
from tests.test_layers import drilldown

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
    noisy = np.random.default_rng(5).normal(1, 0.01, 30)
    runs = [
        make_run(noisy * s, config={"label": label}, evaluation=[0.2]) for s, label in ((2.0, "slow"), (1.0, "a<b"))
    ]
    for run in runs:
        run.train.fenced[10:15] = True
    watched = [
        drilldown({"fc": 0.5, "pool": 0.1}, {"fc": 1.0}, framework=runs[0].manifest["framework"], batch_size=10)
    ]
    return build(runs, found=Found(watched, watched, {}, {"fake-cpu": STACKS}))


def charts(view: View) -> dict[str, Live]:
    flames = {one.title: flame.live(one) for one in flame.flames(view)}
    return {name: chart.live(view) for name, chart in CHARTS.items() if chart.shown(view)} | flames


def test_plotly_takes_every_variant_of_every_chart(view: View) -> None:
    found = charts(view)
    assert set(CHARTS) < set(found)
    for live in found.values():
        for spec in live.variants.values():
            coloured = re.sub(r'"var\(--\w+\)"', '"#123456"', json.dumps(spec, allow_nan=False))
            go.Figure(json.loads(coloured))  # raises ValueError for what it does not know


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
    shares = segments(live.variants["as charged|share of the epoch"])
    subjects = view.summary["subjects"]
    for phase in ("forward", "backward", "evaluate"):
        assert charged[phase] == [s["phases"]["asrun"][phase]["seconds"] for s in subjects]
        assert done[phase] == pytest.approx([s["phases"]["fenced"][phase]["seconds"] for s in subjects])
        assert shares[phase] == pytest.approx([100 * s["phases"]["asrun"][phase]["share"] for s in subjects])
        assert both[phase][::2] == charged[phase]
        assert both[phase][1::2] == done[phase]


def test_hovering_over_a_bar_says_its_seconds_and_interval(view: View) -> None:
    (trace,) = (t for t in breakdown.live(view).variants["both|seconds"]["data"] if t["name"] == "backward")
    cell = view.summary["subjects"][0]["phases"]["asrun"]["backward"]
    assert theme.seconds(cell["seconds"]) in trace["hovertext"][0]
    assert theme.within(cell["low"], cell["high"]) in trace["hovertext"][0]
    assert theme.percent(cell["share"]) in trace["hovertext"][0]


def test_a_phase_that_one_side_lacks_is_null_there_and_never_0(view: View) -> None:
    fenced_flush = [bar.subject.epoch.phases[Phase.FLUSH] for bar in breakdown.bars(view)]
    bars = segments(breakdown.live(view).variants["both|seconds"])
    assert Phase.MATERIALIZE not in bars
    assert fenced_flush == [None] * 4
    assert all(0 not in values for values in bars.values())


def test_the_waterfalls_columns_sum_to_the_gap_in_either_ledger(view: View) -> None:
    live = gap.live(view)
    for ledger, whole in (("as charged", view.gaps[0]), ("where the work was done", view.gaps[0].fenced)):
        assert whole is not None
        ends, steps, *_ = live.variants[f"{ledger}|seconds"]["data"]
        assert sum(steps["y"]) == pytest.approx(whole.seconds.value)
        assert ends["y"][1] - ends["y"][0] == pytest.approx(whole.seconds.value)
        assert steps["base"] == pytest.approx([ends["y"][0], *(np.cumsum(steps["y"])[:-1] + ends["y"][0])])
        relative, *_ = live.variants[f"{ledger}|share of the gap"]["data"]
        assert sum(relative["y"]) == pytest.approx(100)


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
    chart = flame.live(flame.of_one(STACKS, "x")).variants[""]["data"][0]
    boxes = dict(zip(chart["labels"], chart["values"], strict=True))
    assert boxes == {"all": 100, "forward": 40, "conv": 40, "backward": 60, "&lt;lambda&gt;": 60}
    parents = dict(zip(chart["ids"], chart["parents"], strict=True))
    assert parents["all"] == ""
    assert set(parents.values()) <= {"", *parents}


def test_a_function_is_as_wide_as_its_lines_together_however_narrow_each_is() -> None:
    spread = {(Frame("forward", "", 0), Frame("conv", "conv.py", line)): 1 for line in range(1, 1001)}
    chart = flame.live(flame.of_one(Stacks(spread, outside=0, rate=50), "x")).variants[""]["data"][0]
    assert dict(zip(chart["labels"], chart["values"], strict=True)) == {"all": 1000, "forward": 1000, "conv": 1000}


def test_labels_are_text_and_no_markup(view: View) -> None:
    assert plain("</b><img src=x>&") == "&lt;/b&gt;&lt;img src=x&gt;&amp;"
    said = json.dumps([live.as_json()["variants"] for live in charts(view).values()])
    assert "a&lt;b" in said
    assert not re.search(r"<b>[^\"]*a<b", said)

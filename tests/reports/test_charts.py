import subprocess
import sys
import warnings
from dataclasses import replace
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.comparison.history import build_histories
from epoch_gap.profiler.comparison.subject import shorten_versions
from epoch_gap.profiler.drilldown.conditions import DrilldownConditions
from epoch_gap.profiler.drilldown.matching import Drilldowns
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import formats, theme
from epoch_gap.reports.article import ARTICLE
from epoch_gap.reports.charts import (
    accuracy,
    article_panel,
    breakdown,
    breakdown_bars,
    canvas,
    gap,
    history,
    layer_ranking,
    layers,
    thinning,
    timeline,
)
from epoch_gap.reports.charts.registry import CHARTS
from epoch_gap.reports.terminal.tables import list_conditions
from epoch_gap.reports.view import View
from tests.helpers.drilldowns import drilldown
from tests.helpers.runs import MakeRun
from tests.helpers.views import build_view

LUCID = {"config": {"framework": "lucid"}, "framework": {"name": "lucid", "title": "Lucid"}}
TORCH = {"config": {"framework": "torch"}, "framework": {"name": "torch", "title": "PyTorch"}}
ALWAYS = [CHARTS[name].static for name in ("breakdown", "gap", "accuracy", "timeline")]
"""drawn for every pair of runs; the other charts need a drill-down"""


def texts(figure: Figure) -> list[str]:
    """All texts of a figure, without line breaks."""
    return [text.get_text().replace("\n", " ") for text in figure.findobj(Text) if text.get_text()]


def bars(axes: Axes) -> list[Rectangle]:
    return [bar for group in axes.containers if isinstance(group, BarContainer) for bar in group]


def a_pair(make_run: MakeRun, slow: float = 2.0, **changes: dict[str, str]) -> View:
    return build_view([make_run([slow] * 6, **LUCID, **changes), make_run([1.0] * 6, **TORCH, **changes)])


def test_every_chart_names_synthetic_data_and_only_then(make_run: MakeRun) -> None:
    synthetic, real = a_pair(make_run, data={"kind": "synthetic"}), a_pair(make_run)
    for chart in ALWAYS:
        said = texts(chart(synthetic))
        assert any("[synthetic data]" in text for text in said)
        assert any("SYNTHETIC DATA" in text for text in said)
        assert not any("synthetic" in text.lower() for text in texts(chart(real)))


def test_every_chart_names_its_source(make_run: MakeRun) -> None:
    view = a_pair(make_run)
    for chart in ALWAYS:
        assert any(view.source in text for text in texts(chart(view)))


def test_the_articles_epochs_are_drawn_as_a_ratio_beside_this_machines(make_run: MakeRun) -> None:
    view = a_pair(make_run)
    panel = article_panel.article_panel(view)
    assert panel is not None
    measured = view.gaps[0].ratio
    assert panel.ratios == (measured,)
    assert panel.heading.startswith(f"Lucid / PyTorch: this machine {formats.times(measured.value)}x (")
    assert panel.heading.endswith(f", article {ARTICLE['lucid'].epoch_seconds / ARTICLE['torch'].epoch_seconds:.2g}x")
    *_, axes = breakdown.static(view).axes
    assert [bar.get_width() for bar in bars(axes)] == [136.0, 54.0]
    assert axes.get_title(loc="left") == panel.heading
    assert any("not measured here" in text.get_text() for text in axes.texts)


def test_a_second_ratio_of_the_same_frameworks_says_what_it_is_of(make_run: MakeRun) -> None:
    runs = [
        make_run([seconds] * 6, **{**side, "config": {**side["config"], "allocator": allocator}})
        for allocator in ("default", "keep")
        for seconds, side in ((2.0, LUCID), (1.0, TORCH))
    ]
    panel = article_panel.article_panel(build_view(runs))
    assert panel is not None
    assert panel.settings == ("", "memory kept")
    assert panel.comparison.count("(memory kept, ") == 1


def test_the_articles_ratio_is_that_of_the_same_framework_whichever_is_slower_here(make_run: MakeRun) -> None:
    rounds = [run for _ in range(2) for run in (make_run([1.0] * 6, **LUCID), make_run([2.0] * 6, **TORCH))]
    view = build_view(rounds)
    panel = article_panel.article_panel(view)
    assert panel is not None
    assert panel.ratios[0].value == pytest.approx(1 / view.gaps[0].ratio.value)
    low, high = panel.ratios[0].low, panel.ratios[0].high
    assert low is not None
    assert high is not None
    assert low <= panel.ratios[0].value <= high


def test_without_both_of_the_articles_frameworks_there_is_no_panel_of_it(make_run: MakeRun) -> None:
    for runs in ([make_run([1.0] * 6, **LUCID)], [make_run([1.0] * 6), make_run([2.0] * 6, **TORCH)]):
        view = build_view(runs)
        assert article_panel.article_panel(view) is None
        assert not any("article" in text for text in texts(breakdown.static(view)))


@pytest.mark.parametrize("slow", [0.01, 100.0])
def test_the_longest_bar_fits(make_run: MakeRun, slow: float) -> None:
    axes = breakdown.static(a_pair(make_run, slow)).axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in bars(axes)]
    assert max(ends) == pytest.approx(max(10.9, slow * 10.4 + 0.5))
    assert axes.get_xlim()[1] > max(ends)


def fenced(make_run: MakeRun, mean: float = 1.0, factor: float = 1.0, **changes: Any) -> Run:
    """A run with a block of fenced steps, each `factor` times as long as an as-run step."""
    seconds = np.random.default_rng(5).normal(mean, 0.01 * mean, 30)
    seconds[10:15] *= factor
    run = make_run(seconds, **changes)
    run.train.fenced[10:15] = True
    return run


def test_timing_modes_that_agree_are_one_bar_with_their_largest_deviation(make_run: MakeRun) -> None:
    view = build_view([fenced(make_run, factor=1.02)])
    (bar,) = breakdown_bars.picture_bars(view)
    (subject,) = view.subjects
    assert subject.fenced is not None
    deviation = breakdown_bars.largest_deviation(subject)
    assert deviation == pytest.approx(subject.fenced.epoch.total.value / subject.epoch.total.value - 1)
    assert 0.01 < deviation < 0.03
    assert bar.mode == ""
    assert bar.note == f"fenced: same within {formats.percent_at_most(deviation)}"
    assert any(bar.note in text for text in texts(breakdown.static(view)))
    assert [b.mode for b in breakdown_bars.bars(view)] == [breakdown_bars.CHARGED, breakdown_bars.DONE]


def test_timing_modes_that_differ_are_two_bars(make_run: MakeRun) -> None:
    slowed = fenced(make_run, factor=1.2)
    shifted = fenced(make_run)
    forward = shifted.train.phase_ns[Phase.FORWARD].copy()
    forward[~shifted.train.fenced] //= 2
    moved_to = shifted.train.wall_ns - forward
    phases = {**shifted.train.phase_ns, Phase.FORWARD: forward, Phase.BACKWARD: moved_to}
    shifted = replace(shifted, train=replace(shifted.train, phase_ns=phases))
    for run in (slowed, shifted):
        rows = breakdown_bars.picture_bars(build_view([run]))
        assert [bar.mode for bar in rows] == [breakdown_bars.CHARGED, breakdown_bars.DONE]
        assert not any(bar.note for bar in rows)


@pytest.mark.parametrize(
    ("share", "text"), [(0.0241, "2.5 %"), (0.02, "2.0 %"), (0.0, "0.1 %"), (1e-6, "0.1 %"), (0.0999, "10.0 %")]
)
def test_an_upper_bound_is_never_rounded_down(share: float, text: str) -> None:
    assert formats.percent_at_most(share) == text


@pytest.mark.parametrize(("slow", "with_shares"), [(4.0, False), (53.0, True)])
def test_a_bar_that_is_too_short_for_its_phases_gets_a_panel_of_shares(
    make_run: MakeRun, slow: float, with_shares: bool
) -> None:
    view = build_view([make_run([s] * 6, config={"label": f"{s}"}) for s in (slow, 1.0)])
    rows = breakdown_bars.picture_bars(view)
    assert breakdown_bars.needs_shares(rows) == with_shares
    _, *more = breakdown.static(view).axes
    assert len(more) == with_shares
    for axes in more:
        widths: dict[float, float] = {}
        for bar in bars(axes):
            widths[round(bar.get_center()[1])] = widths.get(round(bar.get_center()[1]), 0.0) + bar.get_width()
        assert widths == pytest.approx({0: 100, 1: 100})
        assert any("backward 71" in text.get_text() for text in axes.texts)


def test_the_legend_has_the_visible_phases_in_the_order_of_the_bars(make_run: MakeRun) -> None:
    """The 0.5 s of epoch_start are 4.6 % of 10.9 s, and 0.05 % of 1040.5 s."""
    short, long = (build_view([make_run([s] * 6, evaluation=[0.001])]) for s in (1.0, 100.0))
    names = [
        [text.get_text() for text in breakdown.static(view).findobj(Legend)[0].get_texts()] for view in (short, long)
    ]
    assert names == [["epoch_start", "forward", "backward"], ["forward", "backward"]]
    assert set(map(str, short.phases)) > set(names[0])


def test_a_legend_reads_row_by_row() -> None:
    order = canvas.by_rows(list("abcdefgh"), 3)
    columns = np.array_split(np.array(order), 3)
    rows = ["".join(column[row] for column in columns if row < len(column)) for row in range(3)]
    assert rows == ["abc", "def", "gh"]


def test_a_legend_has_as_many_columns_as_fit() -> None:
    assert canvas.columns_that_fit([str(phase) for phase in Phase][:9]) == 9
    assert canvas.columns_that_fit([str(phase) for phase in Phase]) < len(Phase)
    assert canvas.columns_that_fit(["x" * 100, "y" * 100]) == 1


def test_a_title_is_not_broken_inside_the_name_of_a_subject() -> None:
    figure = Figure()
    canvas.add_title(figure, f"{'word ' * 13}PyTorch 2.14.1 (cpu)", ["PyTorch 2.14.1 (cpu)"])
    assert figure.get_suptitle().splitlines()[-1] == "PyTorch 2.14.1 (cpu)"


def test_flags_that_do_not_fit_beside_a_bar_are_counted(make_run: MakeRun) -> None:
    (bar,) = breakdown_bars.picture_bars(build_view([make_run([1.0] * 6)]))
    few, many = (replace(bar, flags=("machine unsteady",) * count) for count in (2, 7))
    assert breakdown.flags_that_fit(few).count("machine unsteady") == 2
    drawn = breakdown.flags_that_fit(many).count("machine unsteady")
    assert 0 < drawn < 7
    assert breakdown.flags_that_fit(many).endswith(f"{7 - drawn} more")


def test_a_history_has_versions_without_build_tags_and_visible_phases_only(make_run: MakeRun) -> None:
    noisy = np.random.default_rng(1).normal(100, 1, 20)
    runs = [make_run(noisy, framework={"version": f"2.{i}+cu130"}, evaluation=[0.001]) for i in range(2)]
    (series,) = build_histories(runs, {})
    assert history.visible_phases(series) == [Phase.FORWARD, Phase.BACKWARD]
    (axes,) = history.history([series]).axes
    assert [label.get_text().splitlines()[0] for label in axes.get_xticklabels()] == ["2.0", "2.1"]


def test_series_of_few_runs_are_beside_each_other(make_run: MakeRun) -> None:
    runs = [make_run([1.0] * 6, config={"label": label}) for label in "ab"]
    assert (
        len({axes.get_subplotspec().rowspan.start for axes in history.history(build_histories(runs, {})).axes}) == 1
    )
    longer = [*runs, *[make_run([1.0] * 6, config={"label": "a"}) for _ in range(4)]]
    assert (
        len({axes.get_subplotspec().rowspan.start for axes in history.history(build_histories(longer, {})).axes}) == 2
    )


def test_build_tags_leave_titles_and_stay_in_ids_and_conditions(make_run: MakeRun) -> None:
    tagged = {"name": "torch", "title": "PyTorch", "version": "2.14.1+cu130"}
    run = make_run([2.0] * 6, config={"framework": "torch"}, framework=tagged)
    view = build_view([run, make_run([1.0] * 6)])
    assert view.subjects[0].id == "torch-2.14.1+cu130-cpu"
    assert "2.14.1+cu130" in list_conditions(run)
    for chart in ALWAYS:
        assert not any("cu130" in text for text in texts(chart(view)))
    assert "PyTorch 2.14.1 (cpu)" in breakdown.finding(view)
    assert not any("cu130" in chart.finding(view) for chart in CHARTS.values() if chart.shown(view))


def test_two_builds_of_one_version_keep_their_tags(make_run: MakeRun) -> None:
    runs = [make_run([s] * 6, framework={"version": f"2.0+{tag}"}) for s, tag in ((2.0, "cpu"), (1.0, "cu130"))]
    assert {subject.title for subject in build_view(runs).subjects} == {"Fake 2.0+cpu (cpu)", "Fake 2.0+cu130 (cpu)"}
    assert shorten_versions({"1.0+a", "1.0+b", "2.0+a"}) == {"1.0+a": "1.0+a", "1.0+b": "1.0+b", "2.0+a": "2.0"}


def test_the_legend_the_source_and_the_bars_do_not_overlap(make_run: MakeRun) -> None:
    figure = breakdown.static(a_pair(make_run))
    canvas.png(figure)
    legend = figure.findobj(Legend)[0].get_window_extent()
    texts_below = [text.get_window_extent() for text in figure.findobj(Text) if "batch 10" in text.get_text()]
    assert len(texts_below) == 1
    assert not legend.overlaps(texts_below[0])
    assert not any(legend.overlaps(bar.get_window_extent()) for bar in bars(figure.axes[0]))


def test_a_stacked_bar_is_as_long_as_its_epoch(make_run: MakeRun) -> None:
    view = build_view([make_run([2.0] * 6, evaluation=[0.3])])
    segments = bars(breakdown.static(view).axes[0])
    assert sum(bar.get_width() for bar in segments) == pytest.approx(view.subjects[0].epoch.total.value)
    assert len(segments) == len(view.phases)


def test_the_waterfall_climbs_from_the_faster_epoch_to_the_slower(make_run: MakeRun) -> None:
    """The slow side was evaluated and the fast one not: neither tower may hold the evaluation."""
    runs = make_run([2.0] * 6, evaluation=[9.0, 9.0], **LUCID), make_run([1.0] * 6, status="interrupted", **TORCH)
    view = build_view(runs)
    fast, *columns, slow = (bar.get_height() for bar in bars(gap.static(view).axes[0]))
    assert fast == pytest.approx(10.4 * 1 + 0.5)
    assert slow == pytest.approx(10.4 * 2 + 0.5)
    assert sum(columns) == pytest.approx(slow - fast)
    assert columns[0] == pytest.approx(10.4 * 0.75)


def test_the_losses_end_with_the_last_common_step_and_the_accuracies_have_intervals(make_run: MakeRun) -> None:
    slow = make_run([2.0] * 6, evaluation=[0.2, 0.2], losses=[3.0, 2.0, 2.0, 1.0, 1.0, 1.0], **LUCID)
    fast = make_run([1.0] * 9, evaluation=[0.2, 0.2], **TORCH)
    losses, accuracies = accuracy.static(build_view([slow, fast])).axes
    assert [len(np.asarray(line.get_xdata())) for line in losses.lines] == [6, 6]
    assert losses.get_xlim()[1] == 6.5
    (means,) = (c for c in losses.collections if isinstance(c, LineCollection))
    assert [segment[0][1] for segment in means.get_segments()] == pytest.approx([1.0, fast.train.loss[3:6].mean()])
    assert [c.has_xerr for c in accuracies.containers if isinstance(c, ErrorbarContainer)] == [True, True]


def test_the_finding_on_accuracy_claims_no_more_than_the_evaluations_show(make_run: MakeRun) -> None:
    def finding(steps: int, **more: Any) -> str:
        slow = make_run([2.0] * 6, evaluation=[0.2], **LUCID)
        return accuracy.finding(build_view([slow, make_run([1.0] * steps, **more, **TORCH)]))

    assert finding(6, evaluation=[0.2]).endswith(": no difference can be claimed")
    assert finding(9, evaluation=[0.2]) == "Test accuracy is not comparable: evaluated after 6 and 9 steps"
    assert finding(6, evaluation=[0.2, 0.2]) == "Test accuracy is not comparable: evaluated on 10 and 20 images"
    assert "was not measured" in finding(6)


def test_the_loss_curve_is_the_runs_own(make_run: MakeRun) -> None:
    losses = [3.0, 2.0, 2.5, 1.0, 0.5, 0.25]
    axes = accuracy.static(build_view([make_run([1.0] * 6, losses=losses)])).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[i, loss] for i, loss in enumerate(losses, start=1)]


def test_a_label_with_dollars_is_drawn_as_it_is(make_run: MakeRun) -> None:
    view = build_view([make_run([1.0] * 6, config={"label": r"$\nonsense$"})])
    figure = breakdown.static(view)
    canvas.png(figure)
    assert any(r"$\nonsense$" in text for text in texts(figure))


def test_every_phase_has_its_own_colour() -> None:
    assert set(theme.PHASE_COLOURS) == set(Phase)
    assert len(set(theme.PHASE_COLOURS.values())) == len(Phase)


def test_small_differences_are_one_column_with_an_interval_as_wide_as_all_of_theirs(make_run: MakeRun) -> None:
    """Two phases of a two-thousandth of the epoch each: their errors may have the same sign."""
    noisy = np.random.default_rng(3).normal(1, 0.02, 20)
    slow, fast = (make_run(noisy * s, config={"label": f"{s}"}) for s in (2.0, 1.0))
    small = {Phase.FETCH: np.arange(20) * 100_000, Phase.STEP: np.arange(20)[::-1] * 100_000}
    slow = replace(slow, train=replace(slow.train, phase_ns={**slow.train.phase_ns, **small}))
    headline = build_view([slow, fast]).gaps[0]
    together = next(column for column in gap.columns(headline) if "other phases" in column.name)
    parts = [headline.by_phase[phase].interval() for phase in (Phase.FETCH, Phase.STEP)]
    assert together.interval.value == pytest.approx(
        sum(headline.by_phase[p].value for p in headline.by_phase if p not in (Phase.FORWARD, Phase.BACKWARD))
    )
    assert together.interval.low is not None
    assert together.interval.value - together.interval.low >= sum(i.value - (i.low or 0) for i in parts) * 0.999


def test_a_phase_below_1_percent_of_the_gap_joins_the_other_phases(make_run: MakeRun) -> None:
    """Of a gap of 10.4 s, fetch makes 0.5 %, collate 0.8 %, step 2 %, and the rest is backward's."""
    slow, fast = (make_run([s] * 20, config={"label": f"{s}"}) for s in (2.0, 1.0))
    parts = {Phase.FETCH: 0.005, Phase.COLLATE: 0.008, Phase.STEP: 0.02}
    ns = {phase: np.full(20, round(share * 1e9)) for phase, share in parts.items()}
    rest = slow.train.phase_ns[Phase.BACKWARD] - sum(ns.values())
    slow = replace(slow, train=replace(slow.train, phase_ns={**slow.train.phase_ns, **ns, Phase.BACKWARD: rest}))
    headline = build_view([slow, fast]).gaps[0]
    made = gap.columns(headline)
    assert [column.name for column in made if "other" not in column.name] == ["backward", "forward", "step"]
    assert made[-1].name.endswith("other phases")
    assert made[-1].interval.value == pytest.approx(0.013 * headline.seconds.value, rel=1e-6)
    assert sum(column.interval.value for column in made) == pytest.approx(headline.seconds.value)


def watched(make_run: MakeRun, slow: dict[str, float], fast: dict[str, float] | None) -> View:
    """One framework or two whose layers took these seconds forward."""
    sides = [("slow", 2.0, slow), *([("fast", 1.0, fast)] if fast is not None else [])]
    runs = [make_run([s] * 6, config={"label": name}, framework={"name": name}) for name, s, _ in sides]
    drilldowns = [
        drilldown(seconds, {}, conditions=DrilldownConditions.from_manifest(run.manifest))
        for run, (_, _, seconds) in zip(runs, sides, strict=True)
    ]
    return build_view(runs, drilldowns=Drilldowns(layers=drilldowns))


LAYERS = {"fc": 0.5, "pool": 0.1} | {
    f"layer{i}.0.conv{j}": 0.01 * (4 * i + j) for i in range(1, 5) for j in (1, 2, 3)
}


def test_the_layers_are_ranked_by_their_share_of_the_gap_and_the_rest_is_one_bar(make_run: MakeRun) -> None:
    view = watched(make_run, {**LAYERS, "stem.conv": 7.0}, {name: seconds / 10 for name, seconds in LAYERS.items()})
    ranked = layer_ranking.ranking(view)
    gaps = sorted((0.9 * seconds for seconds in LAYERS.values()), reverse=True)
    assert [layer.difference for layer in ranked.top] == pytest.approx(gaps[:12])
    assert (ranked.top[0].name, ranked.top[0].kind) == ("fc, forward", "linear")
    others, every = ranked.sums
    assert others.difference == pytest.approx(sum(gaps[12:])), "a layer of one side alone is in no sum"
    assert every.difference == pytest.approx(sum(gaps))
    assert sum(layer.share or 0 for layer in (*ranked.top, others)) == pytest.approx(1)
    assert layers.ranked_label(ranked.top[0]) == f"+450 ms, {formats.percent(0.45 / sum(gaps))}"
    figure = layers.static(view)
    assert [text.get_text() for text in figure.findobj(Legend)[0].get_texts()] == ["slow 1 (cpu)", "fast 1 (cpu)"]
    assert [round(bar.get_width()) for bar in bars(figure.axes[0])[:2]] == [500, 50]
    assert len(bars(figure.axes[0])) == 24


def test_the_layers_of_one_framework_are_ranked_by_their_time(make_run: MakeRun) -> None:
    for view in (watched(make_run, LAYERS, None), watched(make_run, LAYERS, {})):
        ranked = layer_ranking.ranking(view)
        assert [subject.title for subject in ranked.subjects] == ["slow 1 (cpu)"]
        assert [layer.slow for layer in ranked.top] == pytest.approx(sorted(LAYERS.values(), reverse=True)[:12])
        assert layers.ranked_label(ranked.top[0]) == f"500 ms, {formats.percent(0.5 / sum(LAYERS.values()))}"
        assert len(bars(layers.static(view).axes[0])) == 12


def test_few_layers_have_no_bar_of_others(make_run: MakeRun) -> None:
    ranked = layer_ranking.ranking(watched(make_run, {"fc": 0.2}, {"fc": 0.3}))
    assert [layer.name for layer in ranked.sums] == ["all layers"]
    assert layers.ranked_label(ranked.top[0]) == "\N{MINUS SIGN}100 ms", (
        "no share: the slower side is not slower here"
    )


def test_a_long_runs_loss_has_a_moving_average_and_a_run_without_epochs_no_empty_axes(make_run: MakeRun) -> None:
    losses = np.random.default_rng(1).normal(2, 0.3, 500)
    run = make_run([1.0] * 500, losses=losses)
    numbers, means, width = accuracy.moving_average(run)
    assert width == 10
    assert means[0] == pytest.approx(losses[:10].mean())
    assert numbers[0] == pytest.approx(np.arange(1, 11).mean())
    assert means[-1] == pytest.approx(losses[-10:].mean())
    evaluated = make_run([1.0] * 500, losses=losses, evaluation=[0.2])
    assert len(accuracy.static(build_view([evaluated])).axes) == 2
    assert len(accuracy.static(build_view([replace(run, epochs=())])).axes) == 1


def test_drawing_and_importing_leave_matplotlibs_settings_as_they_are(make_run: MakeRun) -> None:
    before = dict(matplotlib.rcParams)
    view = a_pair(make_run)
    for chart in ALWAYS:
        canvas.png(chart(view))
    assert dict(matplotlib.rcParams) == before
    code = (
        "import matplotlib; before = dict(matplotlib.rcParams)\n"
        "import epoch_gap.reports.charts\n"
        "assert dict(matplotlib.rcParams) == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["breakdown", "gap", "accuracy", "timeline"])
def test_a_picture_has_the_same_bytes_every_time(make_run: MakeRun, name: str) -> None:
    view = a_pair(make_run)
    first, second = (canvas.png(CHARTS[name].static(view)) for _ in range(2))
    assert first == second


def test_a_long_title_ends_within_the_picture(make_run: MakeRun) -> None:
    title = "Lucid 2.16.0 (cpu, memory kept): 3.86 times the epoch of PyTorch 2.14.1 (cpu, memory kept)"
    figure, _ = canvas.figure(build_view([make_run([1.0] * 6)]), title, [2.0])
    figure.draw_without_rendering()
    (text,) = [text for text in figure.texts if text.get_text().startswith("Lucid")]
    assert text.get_window_extent().x1 <= figure.bbox.x1


def test_the_timeline_marks_the_outliers_of_batches_whose_size_varies(make_run: MakeRun) -> None:
    """Their times count per batch of the quoted size, to which 10 images are twice as many as 5."""
    seconds, images = [1.0, 1.01, 0.99, 1.0] * 8, [5, 5, 5, 4] * 8
    seconds[20] = 9.0
    track = timeline.track("", analyse_run(make_run(seconds, images=images)))
    assert [i for i, mark in enumerate(track.mark) if mark is timeline.Mark.OUTLIER] == [20]


def test_the_timeline_marks_warm_up_fenced_steps_and_outliers(make_run: MakeRun) -> None:
    seconds = np.random.default_rng(1).normal(1, 0.01, 40)
    seconds[:4], seconds[25] = 1.5, 3.0
    run = make_run(seconds)
    fenced = np.isin(np.arange(40), [30, 31, 32])
    view = build_view([replace(run, train=replace(run.train, fenced=fenced))])
    (track,) = timeline.tracks(view)
    assert track.number.tolist() == list(range(1, 41))
    assert track.seconds == pytest.approx(seconds)
    assert [i for i, mark in enumerate(track.mark) if mark is timeline.Mark.WARM_UP] == [0, 1, 2, 3]
    assert [i for i, mark in enumerate(track.mark) if mark is timeline.Mark.FENCED] == [30, 31, 32]
    assert [i for i, mark in enumerate(track.mark) if mark is timeline.Mark.OUTLIER] == [25]
    assert track.trend is None


@pytest.mark.parametrize(
    ("first", "words", "marked"),
    [
        ([1.5] * 4, "4 steps of warm-up", ("warm-up", 4)),
        ([0.5] * 4, "4 steps of slowdown", ("excluded", 4)),
        ([1.0], "flat", ("excluded", 1)),
        ([1.5] * 16, "no steady state", ("excluded", 16)),
    ],
    ids=["slower", "faster", "equal", "slower for too long"],
)
def test_only_a_start_that_is_slower_and_ends_is_a_warm_up(
    make_run: MakeRun, first: list[float], words: str, marked: tuple[str, int]
) -> None:
    seconds = np.random.default_rng(1).normal(1, 0.01, 40)
    seconds[: len(first)] = first
    view = build_view([make_run(seconds)])
    (track,) = timeline.tracks(view)
    early = [mark for mark in track.mark if mark in (timeline.Mark.WARM_UP, timeline.Mark.EXCLUDED)]
    assert early == [marked[0]] * marked[1]
    assert timeline.finding(view).removesuffix(", drifting") == f"Step by step: {view.subjects[0].title} {words}"


def test_the_timeline_draws_the_trend_of_a_run_that_drifts_and_no_other(make_run: MakeRun) -> None:
    (track,) = timeline.tracks(build_view([make_run(np.linspace(1, 1.3, 40))]))
    assert track.trend is not None
    (first, at_first), (last, at_last) = track.trend
    assert (first, last) == (2, 40)
    assert at_first == pytest.approx(1 + 0.3 / 39, rel=1e-6)
    assert at_last == pytest.approx(1.3, rel=1e-6)


def test_thinning_keeps_the_minimum_and_maximum_of_every_stretch_and_notes_it() -> None:
    values = np.random.default_rng(1).normal(size=100_000)
    values[77_777] = 50.0
    kept = thinning.drawn_indices(values, 2000)
    assert len(kept) <= 2000
    assert 77_777 in kept
    assert (np.diff(kept) > 0).all()
    assert values[kept].min() == values.min()
    assert thinning.note(len(kept), len(values)) == f" ({len(kept)} of 100000 points drawn)"
    assert thinning.drawn_indices(values[:2000], 2000).tolist() == list(range(2000))
    assert thinning.note(2000, 2000) == ""
    assert thinning.drawn_indices(np.full(5000, np.nan), 2000).tolist() == []


def test_an_svg_has_a_dark_scheme_and_the_same_bytes_every_time(make_run: MakeRun) -> None:
    view = a_pair(make_run)
    first, second = (canvas.svg(breakdown.static(view)) for _ in range(2))
    assert first == second
    assert "prefers-color-scheme:dark" in first
    assert theme.INK in first


def test_positions_are_rounded_and_an_svg_does_not_depend_on_a_png_before_it(make_run: MakeRun) -> None:
    view = a_pair(make_run)
    figure = breakdown.static(view)
    canvas.png(figure)
    bounds = [length for axes in figure.axes for length in axes.get_position(original=True).bounds]
    assert bounds == pytest.approx([round(length, 6) for length in bounds], abs=1e-12)
    assert canvas.svg(figure) == canvas.svg(breakdown.static(view))


def test_the_pages_colour_shows_through_an_svg(make_run: MakeRun) -> None:
    assert "fill: #ffffff" not in canvas.svg(timeline.static(a_pair(make_run)))


def test_the_rooflines_axes_have_plain_numbers(make_run: MakeRun) -> None:
    run = make_run([1.0] * 6)
    watched = [
        drilldown({"fc": 0.5, "stem.conv": 1.0}, {}, conditions=DrilldownConditions.from_manifest(run.manifest))
    ]
    figure = CHARTS["roofline"].static(build_view([run], drilldowns=Drilldowns(layers=watched)))
    canvas.png(figure)
    ticks = [
        label.get_text() for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis) for label in axis.get_ticklabels()
    ]
    assert ticks
    assert all(float(tick) > 0 for tick in ticks if tick)


def test_the_timelines_legend_and_title_do_not_overlap(make_run: MakeRun) -> None:
    figure = timeline.static(build_view([make_run(np.linspace(1, 1.3, 40), config={"label": "a long name " * 4})]))
    canvas.png(figure)
    legend = figure.findobj(Legend)[0].get_window_extent()
    title = next(text for text in figure.findobj(Text) if text.get_text().startswith("a long name"))
    assert not legend.overlaps(title.get_window_extent())


def test_a_label_in_another_script_gives_no_warning(make_run: MakeRun) -> None:
    label = "\N{CJK UNIFIED IDEOGRAPH-6BD4}\N{CJK UNIFIED IDEOGRAPH-8F83}"
    runs = [make_run([seconds] * 6, config={"label": name}) for seconds, name in ((1.0, label), (2.0, "slow"))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert canvas.png(breakdown.static(build_view(runs)))

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from epoch_gap.profiler.drilldown.matching import Found
from epoch_gap.profiler.phases import Phase
from epoch_gap.reports import theme
from epoch_gap.reports.charts import CHARTS, accuracy, breakdown, canvas, gap, thinning, timeline
from epoch_gap.reports.view import View, build
from tests.helpers.drilldowns import drilldown
from tests.helpers.runs import MakeRun

LUCID = {"config": {"framework": "lucid"}, "framework": {"name": "lucid", "title": "Lucid"}}
TORCH = {"config": {"framework": "torch"}, "framework": {"name": "torch", "title": "PyTorch"}}
ALWAYS = [CHARTS[name].static for name in ("breakdown", "gap", "accuracy", "timeline")]
"""of every pair of runs; the others show what a drill-down found"""


def texts(figure: Figure) -> list[str]:
    """As they read, wherever a line was broken."""
    return [text.get_text().replace("\n", " ") for text in figure.findobj(Text) if text.get_text()]


def bars(axes: Axes) -> list[Rectangle]:
    return [bar for group in axes.containers if isinstance(group, BarContainer) for bar in group]


def a_pair(make_run: MakeRun, slow: float = 2.0, **changes: dict[str, str]) -> View:
    return build([make_run([slow] * 6, **LUCID, **changes), make_run([1.0] * 6, **TORCH, **changes)])


def test_every_chart_says_that_the_data_is_synthetic_and_only_then(make_run: MakeRun) -> None:
    synthetic, real = a_pair(make_run, data={"kind": "synthetic"}), a_pair(make_run)
    for chart in ALWAYS:
        said = texts(chart(synthetic))
        assert any("[synthetic data]" in text for text in said)
        assert any("SYNTHETIC DATA" in text for text in said)
        assert not any("synthetic" in text.lower() for text in texts(chart(real)))


def test_every_chart_says_what_it_was_made_from(make_run: MakeRun) -> None:
    view = a_pair(make_run)
    for chart in ALWAYS:
        assert any(view.source in text for text in texts(chart(view)))


def test_the_articles_bars_say_not_measured_here(make_run: MakeRun) -> None:
    said = texts(breakdown.static(a_pair(make_run)))
    assert [text for text in said if "not measured here" in text] == [
        "Lucid, article: 136 s, not measured here",
        "PyTorch, article: 54.0 s, not measured here",
    ]


def test_other_frameworks_have_no_bars_of_the_article(make_run: MakeRun) -> None:
    assert not any("not measured here" in text for text in texts(breakdown.static(build([make_run([1.0] * 6)]))))


@pytest.mark.parametrize("slow", [0.01, 100.0])
def test_the_longest_bar_fits_whether_ours_or_the_articles(make_run: MakeRun, slow: float) -> None:
    view = a_pair(make_run, slow)
    axes = breakdown.static(view).axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in bars(axes)]
    assert max(ends) == pytest.approx(max(136.0, slow * 10.4 + 0.5))
    assert axes.get_xlim()[1] > max(ends)


def test_the_legend_the_source_and_the_bars_stand_apart(make_run: MakeRun) -> None:
    figure = breakdown.static(a_pair(make_run))
    canvas.png(figure)
    legend = figure.findobj(Legend)[0].get_window_extent()
    texts_below = [text.get_window_extent() for text in figure.findobj(Text) if "batch 10" in text.get_text()]
    assert len(texts_below) == 1
    assert not legend.overlaps(texts_below[0])
    assert not any(legend.overlaps(bar.get_window_extent()) for bar in bars(figure.axes[0]))


def test_a_stacked_bar_is_as_long_as_its_epoch(make_run: MakeRun) -> None:
    view = build([make_run([2.0] * 6, evaluation=[0.3])])
    segments = bars(breakdown.static(view).axes[0])
    assert sum(bar.get_width() for bar in segments) == pytest.approx(view.subjects[0].epoch.total.value)
    assert len(segments) == len(view.phases)


def test_the_waterfall_climbs_from_the_faster_epoch_to_the_slower(make_run: MakeRun) -> None:
    """The slow side was evaluated and the fast one not: neither tower may hold the evaluation."""
    view = build([
        make_run([2.0] * 6, evaluation=[9.0, 9.0], **LUCID),
        make_run([1.0] * 6, status="interrupted", **TORCH),
    ])  # fmt: skip
    fast, *columns, slow = (bar.get_height() for bar in bars(gap.static(view).axes[0]))
    assert fast == pytest.approx(10.4 * 1 + 0.5)
    assert slow == pytest.approx(10.4 * 2 + 0.5)
    assert sum(columns) == pytest.approx(slow - fast)
    assert columns[0] == pytest.approx(10.4 * 0.75)


def test_a_short_run_says_that_its_accuracy_cannot_be_compared(make_run: MakeRun) -> None:
    hint = "not enough steps to compare accuracy"
    whole = make_run([1.0] * 10 + [0.4], images=[10] * 10 + [4], evaluation=[0.2, 0.2])
    assert any(hint in text for text in texts(accuracy.static(a_pair(make_run))))
    assert not any(hint in text for text in texts(accuracy.static(build([whole]))))


def test_the_loss_curve_is_the_runs_own(make_run: MakeRun) -> None:
    losses = [3.0, 2.0, 2.5, 1.0, 0.5, 0.25]
    axes = accuracy.static(build([make_run([1.0] * 6, losses=losses)])).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[i, loss] for i, loss in enumerate(losses, start=1)]


def test_a_label_with_dollars_is_drawn_as_it_is(make_run: MakeRun) -> None:
    view = build([make_run([1.0] * 6, config={"label": r"$\nonsense$"})])
    figure = breakdown.static(view)
    canvas.png(figure)
    assert any(r"$\nonsense$" in text for text in texts(figure))


def test_every_phase_has_a_colour_of_its_own() -> None:
    assert set(theme.PHASE_COLOURS) == set(Phase)
    assert len(set(theme.PHASE_COLOURS.values())) == len(Phase)


def test_small_differences_are_one_column_with_an_interval_as_wide_as_all_of_theirs(make_run: MakeRun) -> None:
    """Two phases of a two-thousandth of the epoch each: their errors may all go one way."""
    noisy = np.random.default_rng(3).normal(1, 0.02, 20)
    slow, fast = (make_run(noisy * s, config={"label": f"{s}"}) for s in (2.0, 1.0))
    small = {Phase.FETCH: np.arange(20) * 100_000, Phase.STEP: np.arange(20)[::-1] * 100_000}
    slow = replace(slow, train=replace(slow.train, phase_ns={**slow.train.phase_ns, **small}))
    headline = build([slow, fast]).gaps[0]
    together = next(column for column in gap.columns(headline) if "smaller" in column.name)
    parts = [headline.by_phase[phase].interval() for phase in (Phase.FETCH, Phase.STEP)]
    assert together.interval.value == pytest.approx(
        sum(headline.by_phase[p].value for p in headline.by_phase if p not in (Phase.FORWARD, Phase.BACKWARD))
    )
    assert together.interval.low is not None
    assert together.interval.value - together.interval.low >= sum(i.value - (i.low or 0) for i in parts) * 0.999


def test_the_timeline_marks_warm_up_fenced_steps_and_outliers(make_run: MakeRun) -> None:
    seconds = np.random.default_rng(1).normal(1, 0.01, 40)
    seconds[:4], seconds[25] = 1.5, 3.0
    run = make_run(seconds)
    fenced = np.isin(np.arange(40), [30, 31, 32])
    view = build([replace(run, train=replace(run.train, fenced=fenced))])
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
        ([0.5] * 4, "4 steps of slowdown", ("kept apart", 4)),
        ([1.0], "flat", ("kept apart", 1)),
        ([1.5] * 16, "no steady state", ("kept apart", 16)),
    ],
    ids=["slower", "faster", "alike", "slower for too long"],
)
def test_only_a_beginning_that_is_slower_and_ends_is_called_warm_up(
    make_run: MakeRun, first: list[float], words: str, marked: tuple[str, int]
) -> None:
    seconds = np.random.default_rng(1).normal(1, 0.01, 40)
    seconds[: len(first)] = first
    view = build([make_run(seconds)])
    (track,) = timeline.tracks(view)
    early = [mark for mark in track.mark if mark in (timeline.Mark.WARM_UP, timeline.Mark.KEPT_APART)]
    assert early == [marked[0]] * marked[1]
    assert timeline.finding(view).removesuffix(", drifting") == f"Step by step: {view.subjects[0].title} {words}"


def test_the_timeline_draws_the_trend_of_a_run_that_drifts_and_no_other(make_run: MakeRun) -> None:
    (track,) = timeline.tracks(build([make_run(np.linspace(1, 1.3, 40))]))
    assert track.trend is not None
    (first, at_first), (last, at_last) = track.trend
    assert (first, last) == (2, 40)
    assert at_first == pytest.approx(1 + 0.3 / 39, rel=1e-6)
    assert at_last == pytest.approx(1.3, rel=1e-6)


def test_thinning_keeps_every_stretchs_least_and_largest_and_says_so() -> None:
    values = np.random.default_rng(1).normal(size=100_000)
    values[77_777] = 50.0
    kept = thinning.kept(values, 2000)
    assert len(kept) <= 2000
    assert 77_777 in kept
    assert (np.diff(kept) > 0).all()
    assert values[kept].min() == values.min()
    assert thinning.note(len(kept), len(values)) == f" ({len(kept)} of 100000 points drawn)"
    assert thinning.kept(values[:2000], 2000).tolist() == list(range(2000))
    assert thinning.note(2000, 2000) == ""
    assert thinning.kept(np.full(5000, np.nan), 2000).tolist() == []


def test_an_svg_has_a_dark_scheme_and_the_same_bytes_every_time(make_run: MakeRun) -> None:
    view = a_pair(make_run)
    first, second = (canvas.svg(breakdown.static(view)) for _ in range(2))
    assert first == second
    assert "prefers-color-scheme:dark" in first
    assert theme.INK in first


def test_a_roofs_axes_say_plain_numbers(make_run: MakeRun) -> None:
    run = make_run([1.0] * 6)
    watched = [drilldown({"fc": 0.5, "stem.conv": 1.0}, {}, framework=run.manifest["framework"], batch_size=10)]
    figure = CHARTS["roofline"].static(build([run], found=Found(layers=watched)))
    canvas.png(figure)
    ticks = [
        label.get_text() for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis) for label in axis.get_ticklabels()
    ]
    assert ticks
    assert all(float(tick) > 0 for tick in ticks if tick)


def test_the_timelines_legend_and_title_stand_apart(make_run: MakeRun) -> None:
    figure = timeline.static(build([make_run(np.linspace(1, 1.3, 40), config={"label": "a long name " * 4})]))
    canvas.png(figure)
    legend = figure.findobj(Legend)[0].get_window_extent()
    title = next(text for text in figure.findobj(Text) if text.get_text().startswith("a long name"))
    assert not legend.overlaps(title.get_window_extent())

import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from profiler.phases import Phase
from reports import charts
from reports.view import View, build
from tests.conftest import MakeRun

LUCID = {"config": {"framework": "lucid"}, "framework": {"name": "lucid", "title": "Lucid"}}
TORCH = {"config": {"framework": "torch"}, "framework": {"name": "torch", "title": "PyTorch"}}
CHARTS = (charts.breakdown, charts.gap, charts.accuracy)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def bars(axes: Axes) -> list[Rectangle]:
    return [bar for group in axes.containers if isinstance(group, BarContainer) for bar in group]


def a_pair(make_run: MakeRun, slow: float = 2.0, **changes: dict[str, str]) -> View:
    return build([make_run([slow] * 6, **LUCID, **changes), make_run([1.0] * 6, **TORCH, **changes)])


def test_every_chart_says_that_the_data_is_synthetic_and_only_then(make_run: MakeRun) -> None:
    synthetic, real = a_pair(make_run, data={"kind": "synthetic"}), a_pair(make_run)
    for chart in CHARTS:
        said = texts(chart(synthetic))
        assert any("[synthetic data]" in text for text in said)
        assert any("SYNTHETIC DATA" in text for text in said)
        assert not any("synthetic" in text.lower() for text in texts(chart(real)))


def test_every_chart_says_what_it_was_made_from(make_run: MakeRun) -> None:
    view = a_pair(make_run)
    for chart in CHARTS:
        assert any(view.source in text for text in texts(chart(view)))


def test_the_articles_bars_say_not_measured_here(make_run: MakeRun) -> None:
    said = texts(charts.breakdown(a_pair(make_run)))
    assert {"Lucid, article", "PyTorch, article"} <= set(said)
    assert [text.strip() for text in said if "not measured here" in text] == [
        "136 s, not measured here",
        "54 s, not measured here",
    ]


def test_other_frameworks_have_no_bars_of_the_article(make_run: MakeRun) -> None:
    assert not any("not measured here" in text for text in texts(charts.breakdown(build([make_run([1.0] * 6)]))))


@pytest.mark.parametrize("slow", [0.01, 100.0])
def test_the_longest_bar_fits_whether_ours_or_the_articles(make_run: MakeRun, slow: float) -> None:
    view = a_pair(make_run, slow)
    axes = charts.breakdown(view).axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in bars(axes)]
    assert max(ends) == pytest.approx(max(136.0, slow * 10.4 + 0.5))
    assert axes.get_xlim()[1] > max(ends)


def test_the_legend_the_source_and_the_bars_stand_apart(make_run: MakeRun) -> None:
    figure = charts.breakdown(a_pair(make_run))
    charts.png(figure)
    legend = figure.findobj(Legend)[0].get_window_extent()
    texts_below = [text.get_window_extent() for text in figure.findobj(Text) if "batch 10" in text.get_text()]
    assert len(texts_below) == 1
    assert not legend.overlaps(texts_below[0])
    assert not any(legend.overlaps(bar.get_window_extent()) for bar in bars(figure.axes[0]))


def test_a_stacked_bar_is_as_long_as_its_epoch(make_run: MakeRun) -> None:
    view = build([make_run([2.0] * 6, evaluation=[0.3])])
    segments = bars(charts.breakdown(view).axes[0])
    assert sum(bar.get_width() for bar in segments) == pytest.approx(view.subjects[0].epoch.total.value)
    assert len(segments) == len(view.phases)


def test_the_waterfall_climbs_from_the_faster_epoch_to_the_slower(make_run: MakeRun) -> None:
    """The slow side was evaluated and the fast one not: neither tower may hold the evaluation."""
    view = build([
        make_run([2.0] * 6, evaluation=[9.0, 9.0], **LUCID),
        make_run([1.0] * 6, status="interrupted", **TORCH),
    ])  # fmt: skip
    fast, *columns, slow = (bar.get_height() for bar in bars(charts.gap(view).axes[0]))
    assert fast == pytest.approx(10.4 * 1 + 0.5)
    assert slow == pytest.approx(10.4 * 2 + 0.5)
    assert sum(columns) == pytest.approx(slow - fast)
    assert columns[0] == pytest.approx(10.4 * 0.75)


def test_a_short_run_says_that_its_accuracy_cannot_be_compared(make_run: MakeRun) -> None:
    hint = "not enough steps to compare accuracy"
    whole = make_run([1.0] * 10 + [0.4], images=[10] * 10 + [4], evaluation=[0.2, 0.2])
    assert hint in texts(charts.accuracy(a_pair(make_run)))
    assert hint not in texts(charts.accuracy(build([whole])))


def test_the_loss_curve_is_the_runs_own(make_run: MakeRun) -> None:
    losses = [3.0, 2.0, 2.5, 1.0, 0.5, 0.25]
    axes = charts.accuracy(build([make_run([1.0] * 6, losses=losses)])).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[i, loss] for i, loss in enumerate(losses, start=1)]


def test_a_label_with_dollars_is_drawn_as_it_is(make_run: MakeRun) -> None:
    view = build([make_run([1.0] * 6, config={"label": r"$\nonsense$"})])
    figure = charts.breakdown(view)
    charts.png(figure)
    assert any(r"$\nonsense$" in text for text in texts(figure))


def test_every_phase_has_a_colour_of_its_own() -> None:
    assert set(charts.theme.PHASE_COLOURS) == set(Phase)
    assert len(set(charts.theme.PHASE_COLOURS.values())) == len(Phase)

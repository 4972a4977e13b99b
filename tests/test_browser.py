"""The page in a browser: headless Chromium, as a reader opens the file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from epoch_gap.reports import formats
from epoch_gap.reports.report import render_report
from tests.helpers.browser import Open, drawn
from tests.helpers.clocks import ScriptedClock
from tests.helpers.runs import MakeRun

HOSTILE = '</script><img src=x onerror="window.broken=1"><b>bold</b>&amp;\''


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects whose fences do harm; one has a label that tries to be more than text."""
    folder = tmp_path_factory.mktemp("report")
    make_run = MakeRun(folder / "runs", ScriptedClock())
    noisy, labels = np.random.default_rng(5).normal(1, 0.01, 30), {HOSTILE: 2.0, "fast": 1.0}
    noisy[10:15] *= 1.5
    runs = [make_run(noisy * s, config={"label": label}, evaluation=[0.2]) for label, s in labels.items()]
    for run in runs:
        run.train.fenced[10:15] = True
    for name, content in render_report(runs).files.items():
        (folder / name).write_bytes(content)
    return folder


def visible(page: Page, chart: str) -> dict[str, list[float | None]]:
    """The bars that a chart shows, by the name of their trace."""
    traces = page.evaluate(
        "name => document.querySelector(`#${name} .live`).data"
        ".filter(t => t.type === 'bar' && t.visible !== false).map(t => [t.name ?? '', [...t.x]])",
        chart,
    )
    return dict(traces)


def summary(report: Path) -> dict[str, Any]:
    contents: dict[str, Any] = json.loads((report / "summary.json").read_text())
    return contents


def test_every_chart_is_drawn_without_requests_or_console_messages(opened: Open, report: Path) -> None:
    page = opened(report)
    for chart in ("breakdown", "gap", "accuracy", "timeline"):
        drawn(page, chart)
    assert page.locator("#breakdown path.xerror").count() == 4
    assert page.locator("#gap path.yerror").count() >= 2
    page.locator("#gap").get_by_label("where the work was done").check()
    assert "a fenced step takes 1.5" in (page.locator("#gap .annotation-text").text_content() or "")
    assert opened.said == [(report / "index.html").as_uri()]


def test_the_controls_change_what_is_shown(opened: Open, report: Path) -> None:
    page = opened(report)
    drawn(page, "breakdown")
    subjects = summary(report)["subjects"]
    backward = {mode: [s["phases"][mode]["backward"]["seconds"] for s in subjects] for mode in ("asrun", "fenced")}
    assert visible(page, "breakdown")["backward"][::2] == pytest.approx(backward["asrun"])
    page.get_by_label("where the work was done").first.check()
    assert visible(page, "breakdown")["backward"] == pytest.approx(backward["fenced"])
    page.get_by_label("share of the whole").check()
    shares = [100 * s["phases"]["fenced"]["backward"]["share"] for s in subjects]
    assert visible(page, "breakdown")["backward"] == pytest.approx(shares)
    page.locator("#breakdown").get_by_label("backward").uncheck()
    assert "backward" not in visible(page, "breakdown")
    assert "forward" in visible(page, "breakdown")


def test_the_keyboard_alone_reaches_the_controls(opened: Open, report: Path) -> None:
    page = opened(report)
    drawn(page, "breakdown")
    page.locator("#breakdown input[type=radio]").first.focus()
    both = len(visible(page, "breakdown")["forward"])
    page.keyboard.press("ArrowRight")
    assert len(visible(page, "breakdown")["forward"]) == both / 2
    page.locator("#breakdown input[type=checkbox][value=forward]").focus()
    page.keyboard.press("Space")
    assert "forward" not in visible(page, "breakdown")


def test_a_hover_label_has_the_number_of_the_summary(opened: Open, report: Path) -> None:
    page = opened(report)
    drawn(page, "breakdown")
    page.locator("#breakdown .live").scroll_into_view_if_needed()
    names = list(visible(page, "breakdown"))
    bar = page.locator("#breakdown g.trace.bars").nth(names.index("backward")).locator("path").first
    box = bar.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2)
    label = page.locator("#breakdown .hovertext")
    label.wait_for()
    cell = summary(report)["subjects"][0]["phases"]["asrun"]["backward"]
    text = label.text_content() or ""
    assert f"backward: {formats.seconds(cell['seconds'])} ({formats.within(cell['low'], cell['high'])})" in text


def test_without_javascript_there_are_pictures_and_tables_but_no_controls(opened: Open, report: Path) -> None:
    page = opened(report, java_script_enabled=False)
    for chart in ("breakdown", "gap", "accuracy", "timeline"):
        box = page.locator(f"#{chart} .picture img").bounding_box()
        assert box is not None
        assert box["width"] > 500
        assert box["height"] > 200
        assert not page.locator(f"#{chart} .controls").is_visible()
    assert page.locator("table").count() >= 6
    assert page.locator("h1").is_visible()


def test_markup_in_a_label_stays_text_everywhere(opened: Open, report: Path) -> None:
    page = opened(report)
    for chart in ("breakdown", "gap", "accuracy", "timeline"):
        drawn(page, chart)
    assert page.evaluate("window.broken") is None
    assert page.locator("img[src=x]").count() == 0
    assert HOSTILE in (page.locator("h1").text_content() or "")
    for chart in ("breakdown", "gap", "timeline"):
        assert "onerror" in (page.locator(f"#{chart}").text_content() or "")
    titles = page.locator("#breakdown .annotation-text").all_text_contents()
    assert any(HOSTILE in title for title in titles)


def test_each_of_many_runs_can_be_chosen_despite_spaces_in_its_name(
    opened: Open, make_run: MakeRun, tmp_path: Path
) -> None:
    label = {"label": " two  spaces "}
    runs = [make_run(np.random.default_rng(n).normal(1, 0.01, n), config=label) for n in range(20, 25)]
    for name, content in render_report(runs).files.items():
        (tmp_path / name).write_bytes(content)
    page = opened(tmp_path)
    drawn(page, "timeline")
    shown = []
    for index in range(len(runs)):
        page.locator("#timeline select").select_option(index=index)
        shown.append(
            page.evaluate(
                "document.querySelector('#timeline .live').data"
                ".filter(t => t.mode === 'markers').reduce((sum, t) => sum + t.x.length, 0)"
            )
        )
    assert sorted(shown) == [20, 21, 22, 23, 24]
    assert opened.said == [(tmp_path / "index.html").as_uri()]


def brightness(page: Page, selector: str, what: str) -> float:
    colour = page.evaluate(
        "([s, p]) => getComputedStyle(document.querySelector(s))[p].match(/\\d+/g).map(Number)", [selector, what]
    )
    return sum(colour[:3]) / 3


def test_the_page_and_its_charts_follow_the_readers_scheme(opened: Open, report: Path) -> None:
    for scheme in ("light", "dark"):
        page = opened(report, color_scheme=scheme)
        drawn(page, "breakdown")
        paper, ink = brightness(page, "body", "backgroundColor"), brightness(page, "#breakdown .xtick text", "fill")
        assert (paper > 200 > 100 > ink) if scheme == "light" else (paper < 60 < 180 < ink)


def test_a_narrow_screen_scrolls_vertically_only(opened: Open, report: Path) -> None:
    page = opened(report, viewport={"width": 400, "height": 800})
    for chart in ("breakdown", "gap", "accuracy", "timeline"):
        drawn(page, chart)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_on_paper_pictures_replace_the_charts(opened: Open, report: Path) -> None:
    page = opened(report)
    drawn(page, "breakdown")
    page.emulate_media(media="print")
    assert page.locator("#breakdown .picture").is_visible()
    assert not page.locator("#breakdown .live").is_visible()
    assert not page.locator("nav").is_visible()

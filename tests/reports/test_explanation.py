"""explanation.md: the facts of the page, escaped, in fewer than 150 lines."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.comparison.fairness import Affects, Item
from epoch_gap.profiler.drilldown.matching import Drilldowns
from epoch_gap.reports import formats
from epoch_gap.reports.experiments import AnswerRow
from epoch_gap.reports.export.explanation import MOST_LINES, explanation
from epoch_gap.reports.export.markdown import bullets, table, text
from epoch_gap.reports.view import View
from tests.helpers.drilldowns import CONDITIONS, drilldown
from tests.helpers.runs import MakeRun
from tests.helpers.views import build_view


def noisy(mean: float, seed: int) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, 0.02 * mean, 20))


def pair(make_run: MakeRun, slow_label: str = "slow") -> View:
    whole: dict[str, Any] = {"full_epoch": {"train_images": 1000}, "evaluation": [0.1, 0.1]}
    runs = [
        make_run(noisy(s, i), config={"label": label, "seed": i}, **whole)
        for i, (s, label) in enumerate(((3.0, slow_label), (1.0, "fast")))
    ]
    return build_view(runs)


def plain(markdown: str) -> str:
    """The text without the marks of its format."""
    return re.sub(r"\\([^\w\s])", r"\1", markdown)


def headings(markdown: str) -> list[str]:
    return [line.lstrip("# ") for line in markdown.splitlines() if line.startswith("## ")]


def test_it_has_the_facts_of_the_page_with_the_verdict_first(make_run: MakeRun) -> None:
    view = pair(make_run)
    written = explanation(view)
    assert plain(written.splitlines()[0]) == f"# {view.verdict}"
    facts = [view.verdict, view.floor, view.next_step, view.source, *view.why, *view.cautions, *view.accuracy]
    assert len(facts) > 9
    assert [fact for fact in facts if fact not in plain(written)] == []
    order = ["Why", "Next", "Cautions", "Seconds per epoch by phase", "Accuracy", "Conditions that differ"]
    assert [title for title in headings(written) if title in order] == order


def test_its_table_has_every_phase_with_the_numbers_of_the_summary(make_run: MakeRun) -> None:
    view = pair(make_run)
    lines = explanation(view).splitlines()
    for phase in view.phases:
        (row,) = [line for line in lines if line.startswith(f"| {phase} |")]
        for subject in view.subjects:
            i = subject.epoch.interval(phase)
            assert i is not None
            assert f"| {formats.seconds(i.value)} ({formats.within(i.low, i.high)}) |" in row
        gap = view.gaps[0].by_phase[phase].interval()
        assert f"| {formats.seconds(gap.value)} ({formats.within(gap.low, gap.high)}) |" in row


def test_a_single_run_has_neither_why_nor_a_gap(make_run: MakeRun) -> None:
    written = explanation(build_view([make_run(noisy(1.0, 1))]))
    assert "Why" not in headings(written)
    assert "of the gap" not in written


def test_drilldowns_have_their_tables(make_run: MakeRun) -> None:
    runs = [
        make_run(noisy(s, i), config={"batch_size": 2, "label": ""}, images=[2] * 20, framework={"version": version})
        for i, (s, version) in enumerate(((3.0, "1"), (1.0, "2")))
    ]
    sides = [replace(CONDITIONS, framework=replace(CONDITIONS.framework, version=version)) for version in ("1", "2")]
    layers = [drilldown({"fc": s}, {"fc": 2 * s}, side) for s, side in zip((2.0, 1.0), sides, strict=True)]
    written = explanation(build_view(runs, drilldowns=Drilldowns(layers=layers, operators=layers)))
    assert "| fc | backward | 4000 ms" in written
    assert "Operators, per step" in headings(written)


def test_a_label_cannot_start_a_format(make_run: MakeRun) -> None:
    written = explanation(pair(make_run, "# <img src=x> | *a* [b](c) `d"))
    table_rows = [line for line in written.splitlines() if line.startswith("| ")]
    assert "<img" not in written.replace("\\<img", "")
    assert "[b]" not in written
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table_rows[:4]}) == 1
    assert written.startswith("# \\# \\<img src=x> | \\*a\\* \\[b\\](c) 'd 1 (cpu) takes")


def test_it_stays_below_150_lines_whatever_there_is_to_say(make_run: MakeRun) -> None:
    many = tuple(f"sentence {i}" for i in range(60))
    test = AnswerRow("n", "side", "claim", None, "p", "m", "phases", "verdict", (), "session", 1)
    view = pair(make_run)
    ids = [subject.id for subject in view.subjects]
    items = tuple(Item(name, dict.fromkeys(ids, "x"), True, Affects.BOTH) for name in many)
    crowded = replace(
        view,
        further=many,
        findings=many,
        operating_system=many,
        prediction="a prediction",
        shifted_work=many,
        cautions=many,
        accuracy=many,
        fairness=items,
        phases=view.phases * 10,
        experiments=replace(view.experiments, rows=(test,) * 60, withheld=many, diagnosis=many),
    )
    lines = explanation(crowded).splitlines()
    assert 100 < len(lines) <= MOST_LINES < 150
    assert any("more: see index.html" in line for line in lines)


@pytest.mark.parametrize(
    ("sentence", "markdown"),
    [
        ("run `make noise` | *again*", "run `make noise` | \\*again\\*"),
        ("epoch_start and _this_", "epoch_start and \\_this\\_"),
        ("below < 0.1 % <b>", "below < 0.1 % \\<b>"),
        ("one ` alone", "one ' alone"),
        ("- a list\nand more", "\\- a list and more"),
    ],
)
def test_a_sentence_keeps_its_code_and_loses_its_formats(sentence: str, markdown: str) -> None:
    assert text(sentence) == markdown


def test_lists_and_tables_say_how_much_they_leave_out() -> None:
    assert bullets(["a", "b", "c"], 2, "elsewhere") == ["- a", "- 2 more: elsewhere"]
    assert table([["x", "y"], ["1", "2"], ["`a|b`", "4"]], 2, "elsewhere") == [
        "| x | y |",
        "| --- | --: |",
        "| 1 | 2 |",
        "| `a\\|b` | 4 |",
    ]
    assert table([["x", "y"], ["1", "2"], ["3", "4"]], 1, "elsewhere")[2:] == ["| 2 more: elsewhere |  |"]

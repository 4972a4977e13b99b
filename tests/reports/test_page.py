import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from matplotlib.figure import Figure

from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.phases import CLOCK, MEANING, Phase
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.charts import breakdown
from epoch_gap.reports.charts.registry import CHARTS
from epoch_gap.reports.page.page import render_page
from epoch_gap.reports.view import View
from tests.helpers.runs import MakeRun, with_materialize
from tests.helpers.views import build_view

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}"


class Parsed(HTMLParser):
    """The tags with their attributes, the text, and the rows of all tables."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell:
            self.rows[-1][-1] += data

    def row(self, name: str) -> list[str]:
        """The first row that begins with `name`, without it."""
        return next(row[1:] for row in self.rows if row and row[0] == name)


def html_of(view: View) -> str:
    return render_page(view, {name: Figure(figsize=(1, 1)) for name, chart in CHARTS.items() if chart.shown(view)})


def rendered(*runs: Run) -> str:
    return html_of(build_view(runs))


def parsed(*runs: Run) -> Parsed:
    return Parsed(rendered(*runs))


def a_pair(make_run: MakeRun, slow_label: str = "slow") -> list[Run]:
    return [make_run([s] * 6, config={"label": label}) for s, label in ((2.0, slow_label), (1.0, "fast"))]


def test_the_page_is_one_file_whose_pictures_are_in_it(make_run: MakeRun) -> None:
    html = parsed(*a_pair(make_run))
    assert not {tag for tag, _ in html.tags} & {"link", "iframe", "object", "embed", "base", "form"}
    links = [
        value or "" for _, attrs in html.tags for key, value in attrs.items() if key in ("src", "href", "srcset")
    ]
    assert all(link.startswith(("data:image/svg+xml;base64,", "#")) for link in links)
    anchors = {attrs["id"] for _, attrs in html.tags if "id" in attrs}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    assert not [key for _, attrs in html.tags for key in attrs if key.startswith("on")]


def test_no_script_may_run_but_the_pages_own(make_run: MakeRun) -> None:
    html = rendered(*a_pair(make_run))
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert len(scripts) == 2
    policy = next(attrs["content"] or "" for tag, attrs in Parsed(html).tags if attrs.get("http-equiv"))
    allowed = dict(directive.split(" ", 1) for directive in policy.split("; "))
    digests = [f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts]
    assert allowed["script-src"].split() == digests
    assert allowed["default-src"] == "'none'"


def test_a_hostile_label_is_shown_as_text_only(make_run: MakeRun) -> None:
    plain, hostile = parsed(*a_pair(make_run)), parsed(*a_pair(make_run, HOSTILE))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert not any("onerror" in attrs for _, attrs in hostile.tags)
    assert HOSTILE in hostile.text


def test_the_page_begins_with_the_verdict(make_run: MakeRun) -> None:
    runs = a_pair(make_run)
    assert f"<h1>{build_view(runs).verdict}</h1>" in rendered(*runs)


def test_the_lines_on_each_of_three_sides_are_folded_so_that_what_to_do_next_stays_in_sight(
    make_run: MakeRun,
) -> None:
    three = [*a_pair(make_run), make_run([3.0] * 6, config={"label": "third"})]
    for runs, lines, is_folded in (
        (three, ("what fences cost",), True),
        (three, (), False),
        (three[:2], ("what fences cost",), False),
    ):
        page = Parsed(html_of(replace(build_view(runs), shifted_work=lines)))
        tags = [tag for tag, _ in page.tags]
        assert ("details" in tags[: tags.index("nav")]) is is_folded
        assert ("what fences cost" in page.text) is bool(lines)


def test_a_phase_that_one_side_lacks_reads_na_and_never_0(make_run: MakeRun) -> None:
    lazy, eager = a_pair(make_run)
    materialize = parsed(with_materialize(lazy), eager).row("materialize")
    assert materialize[2:4] == ["n/a", ""]
    assert materialize[0].startswith("5.19 s")
    assert materialize[4].startswith("5.19 s")


def test_a_phase_that_no_framework_has_is_not_listed(make_run: MakeRun) -> None:
    rows = {row[0] for row in parsed(*a_pair(make_run)).rows if row}
    assert "forward" in rows
    assert not rows & {"materialize", "checkpoint", "evaluate"}


def test_a_phase_excluded_from_the_gap_is_not_compared(make_run: MakeRun) -> None:
    slow = make_run([2.0] * 6, config={"label": "slow"}, evaluation=[0.3, 0.3])
    html = parsed(slow, make_run([1.0] * 6))
    assert html.row("evaluate")[2:] == ["not done", "", "not compared", ""]


def test_the_articles_column_is_labelled_not_measured_here(make_run: MakeRun) -> None:
    torch = make_run([1.0] * 6, config={"framework": "torch"}, framework={"name": "torch", "title": "PyTorch"})
    html = parsed(torch)
    assert html.row("last epoch of the run")[1] == "PyTorch, articleepoch 16, not measured here"
    assert html.row("epoch time") == ["10.9 s", "54.0 s"]
    assert "not measured here" not in parsed(make_run([1.0] * 6)).text


def test_a_run_without_evaluation_reads_na(make_run: MakeRun) -> None:
    html = parsed(make_run([1.0] * 6))
    assert html.row("test loss") == ["n/a"]
    assert html.row("train loss") == ["1.900"]


def test_the_accuracy_section_says_what_short_runs_show(make_run: MakeRun) -> None:
    text = parsed(*a_pair(make_run)).text
    assert "Test accuracy is not compared: no evaluation of" in text
    assert "Mean training loss over the last 3 of 6 common steps" in text
    assert "was not evaluated: its test accuracy is unknown" in parsed(make_run([1.0] * 6)).text


def test_differing_conditions_come_first_in_the_fairness_list_and_are_marked(make_run: MakeRun) -> None:
    pools = {"variables": {"OPENBLAS_CORETYPE": "Haswell"}}
    slow, fast = (make_run([s] * 6, config={"label": f"{s}"}, environment=e) for s, e in ((2.0, pools), (1.0, {})))
    html = parsed(slow, fast)
    beside_the_gap, whole = (i for i, row in enumerate(html.rows) if row and row[0] == "condition")
    assert [html.rows[beside_the_gap + 1], html.rows[whole + 1]] == 2 * [
        ["BLAS and OpenMP variables", "OPENBLAS_CORETYPE=Haswell", "none set", "time"]
    ]
    assert html.rows[beside_the_gap + 2][0] == "last epoch of the run", "what is alike is in the whole list alone"
    assert html.rows[whole + 2][-1] == "same"


def test_every_runs_conditions_are_on_the_page(make_run: MakeRun) -> None:
    runs = a_pair(make_run)
    text = parsed(*runs).text
    assert all(f"run: {run.id}" in text for run in runs)
    assert "environment.machine.cpu: test CPU" in text


def test_flags_are_shown_under_the_name_that_they_affect_and_beside_its_bar(make_run: MakeRun) -> None:
    moved = make_run(np.linspace(1, 1.3, 40), config={"label": "moving"})
    view = build_view([moved, make_run([0.5] * 40, config={"label": "still"})])
    header = Parsed(html_of(view)).row("phase")
    assert "steps grow slower" in header[0]
    assert not any("steps grow slower" in cell for cell in header[1:])
    beside = [text.get_text() for text in breakdown.static(view).axes[0].texts]
    assert sum("\N{WARNING SIGN} steps grow slower" in text for text in beside) == 1
    assert any(line.startswith("moving") and "from the first to the last" in line for line in view.cautions)


def test_the_reason_for_the_end_of_a_run_and_the_further_steps_are_shown(make_run: MakeRun) -> None:
    noisy = list(np.random.default_rng(2).normal(1, 0.05, 40))
    run = make_run(noisy, full_epoch={"train_images": 3910}, stopped="its time of 300 s was spent")
    row = next(row for row in parsed(run).rows if row and row[0].startswith(f"Fake 1 (cpu){run.id[-6:]}"))
    assert row[-1] == str(analyse_run(run).more_steps)
    assert "training ended because its time of 300 s was spent" in parsed(run).text


def test_a_sample_without_outliers_gives_an_upper_bound_on_their_share(make_run: MakeRun) -> None:
    """59 steps after the first without one: at 95 %, fewer than 1 - 0.05^(1/59) of all are outliers."""
    html = parsed(make_run([1.0] * 60, full_epoch={"train_images": 3900}))
    row = next(row for row in html.rows if row and row[0].startswith("Fake 1 (cpu)") and len(row) == 8)
    assert row[6] == "0fewer than 5.0 %"


def test_the_glossary_of_a_custom_loop_does_not_describe_the_built_in_loops_clocks(make_run: MakeRun) -> None:
    own = {"kind": "own", "source": "digits", "sha256": None}
    html = parsed(make_run([1.0] * 6, data=own, framework={"clocks": {"forward": "my forward"}}))
    glossary = html.rows[next(i for i, row in enumerate(html.rows) if row[:2] == ["phase", "meaning"]) :]
    forward = next(row for row in glossary if row[0] == "forward")
    assert forward[1:] == [MEANING[Phase.FORWARD], "", "my forward"]


def test_the_cost_of_marks_is_a_least_one(make_run: MakeRun) -> None:
    assert "Marks cost at least 2.0e-07 of a step in Fake 1 (cpu)." in parsed(make_run([1.0] * 6)).text


def test_the_glossary_lists_the_calls_between_the_marks_in_each_framework(make_run: MakeRun) -> None:
    _, eager = a_pair(make_run)
    clocks = {"clocks": {"forward": "model(x)"}}
    slow = make_run([2.0] * 6, config={"label": "slow"}, framework=clocks)
    html = parsed(with_materialize(slow), eager)
    glossary = html.rows[next(i for i, row in enumerate(html.rows) if row[:2] == ["phase", "meaning"]) :]
    forward, materialize = (next(row for row in glossary if row[0] == name) for name in ("forward", "materialize"))
    assert forward[1:] == [MEANING[Phase.FORWARD], CLOCK[Phase.FORWARD], "model(x)", ""]
    assert materialize[-1] == "n/a"

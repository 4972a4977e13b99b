"""explanation.md: the facts of the page in Markdown, short enough to be read whole by a program or a person."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.reports import formats
from epoch_gap.reports.export.markdown import bullets, table, text
from epoch_gap.reports.page import rows
from epoch_gap.reports.sentences.verdict import how_known
from epoch_gap.reports.terminal.comparison import AFFECTED
from epoch_gap.reports.view import View

MOST_LINES = 149
REST = "see index.html"


def explanation(view: View) -> str:
    """The verdict, why, next, the cautions, and the tables; at most `MOST_LINES` lines."""
    sections = {
        "": bullets(view.further, 4, REST),
        "Why": _why(view),
        "Next": [text(view.next_step)],
        "Cautions": bullets([view.floor, *view.cautions], 12, REST),
        f"Seconds per {view.size.span} by phase": _phases(view),
        "Accuracy": bullets(view.accuracy, 5, REST),
        "Experiments": _experiments(view),
        "Layers with the largest differences, per step": _layers(view),
        "Operators, per step": _operators(view),
        "Conditions that differ": _conditions(view),
    }
    lines = [f"# {text(view.verdict)}", ""]
    for title, content in sections.items():
        if content:
            lines += [*([f"## {title}"] if title else []), *content, ""]
    return "\n".join([*lines, text(view.source), ""])


def _why(view: View) -> list[str]:
    found = [*view.compilation, *view.operating_system, *filter(None, [view.prediction]), *view.shifted_work]
    largest = [text(view.why_heading), *(f"{i}. {text(line)}" for i, line in enumerate(view.why, start=1))]
    return [
        *(largest if view.why else []),
        *bullets(view.findings, 5, REST),
        *bullets(found, 8, REST),
        *bullets([f"Tested by experiments: {line}" for line in view.experiments.diagnosis], 6, REST),
    ]


def _phases(view: View) -> list[str]:
    """Every phase of every subject and of the headline gap, with intervals, and the whole."""
    gap = view.gaps[0] if view.gaps else None
    head = ["phase", *(column for s in view.subjects for column in (s.title, "share"))]
    whole = [view.size.whole, *(cell for s in view.subjects for cell in _whole(s))]
    if gap is not None:
        head += [f"{gap.slow.title} minus {gap.fast.title}", "of the gap"]
        whole += [formats.interval(gap.seconds.interval()), ""]
    body = [[str(row["phase"]), *_cells(row)] for row in (rows.phase_row(view, phase) for phase in view.phases)]
    return table([head, whole, *body], 24, REST)


def _whole(subject: Subject) -> list[str]:
    return [formats.interval(subject.epoch.seconds), how_known(subject)]


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    """The cells of a row of the page's table: seconds with their interval, and the share."""
    for cell in [*row["cells"], *([row["gap"]] if row["gap"] else [])]:
        yield f"{cell['seconds']} ({cell['range']})" if cell["range"] else cell["seconds"]
        yield cell["share"]


def _experiments(view: View) -> list[str]:
    found = [[r.claim, r.side, r.predicted, r.measured, r.verdict] for r in view.experiments.rows]
    withheld = bullets(view.experiments.withheld, 2, REST)
    if not found:
        return withheld
    head = ["claim", "side", "predicted, s per epoch", "measured", "verdict"]
    return [*withheld, *([""] if withheld else []), *table([head, *found], 8, REST, left=2)]


def _layers(view: View) -> list[str]:
    return _differences(view, ["layer", "direction"], rows.layer_rows(view), ["of all layers' differences"], 8)


def _operators(view: View) -> list[str]:
    return _differences(view, ["operator category", "direction"], rows.category_rows(view), [], 6)


def _differences(
    view: View, names: Sequence[str], body: Sequence[Sequence[str]], more: Sequence[str], most: int
) -> list[str]:
    if not body:
        return []
    slow, fast = view.gaps[0].slow.title, view.gaps[0].fast.title
    return table([[*names, slow, fast, "difference", *more], *body], most, REST, left=2)


def _conditions(view: View) -> list[str]:
    differing = [item for item in view.fairness if item.differs]
    if not differing:
        return []
    head = ["condition", *(s.title for s in view.subjects), "can affect"]
    body = [[i.name, *(i.values[s.id] for s in view.subjects), AFFECTED[i.affects]] for i in differing]
    return table([head, *body], 16, REST, left=len(head))

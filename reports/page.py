"""The page: one file, no network, escaped by the template engine."""

import base64
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from profiler.attribution import differences
from profiler.compare import Gap
from profiler.drilldown.lines import from_json
from profiler.estimate import NS, more_steps, steady_steps, warm_up
from profiler.phases import MEANING, Phase
from profiler.run import Run
from profiler.stability import cores_busy, stolen
from profiler.stats import spread
from profiler.subject import Subject
from profiler.summary import marks_share
from reports import article, charts, layer_tables, text, theme
from reports.text import conditions
from reports.view import View, accuracy_is_comparable, flag_names, how_known, short_id

_TEMPLATES = Environment(
    loader=PackageLoader("reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(view: View, pictures: Mapping[str, bytes]) -> str:
    """The page as HTML, with the PNGs inside."""
    return _TEMPLATES.get_template("page.html").render(
        view=view,
        pictures={name.partition(".")[0]: _data_uri(data) for name, data in pictures.items()},
        phase_rows=[_phase_row(view, phase) for phase in view.phases],
        accuracy_rows=_accuracy_rows(view),
        accuracy_comparable=accuracy_is_comparable(view.subjects),
        article_epoch=article.EPOCH,
        ledgers=[_ledgers(subject) for subject in view.subjects if subject.fenced],
        fairness=view.fairness,
        chain_rows=_chain_rows(view),
        layer_rows=_layer_rows(view),
        family_rows=_family_rows(view),
        line_tables=[
            (s.title, text.top_lines(from_json(data), int(data["steps"]), float(data["slowdown"])))
            for s in view.subjects
            if (data := view.lines.get(s.id)) is not None
        ],
        flames=_flames(view),
        layer_notes=[(s.title, layer_tables.notes(view.layers[s.id])) for s in view.subjects if s.id in view.layers],
        runs=[_run_row(s, run) for s in view.subjects for run in s.runs],
        flag_names=flag_names,
        own_cost=[(s.title, f"{max(marks_share(r) for r in s.runs):.1e}") for s in view.subjects],
        conditions=[(run.id, conditions(run)) for s in view.subjects for run in s.runs],
        meaning=MEANING,
        how_known=how_known,
        colours=theme.PHASE_COLOURS,
        theme=theme,
    )


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _flames(view: View) -> list[tuple[str, str]]:
    """(title, picture) of each subject's stacks, and of the headline pair's difference."""
    found = [(s.title, charts.flame(view.stacks[s.id], s.title)) for s in view.subjects if s.id in view.stacks]
    if both := view.of_headline(view.stacks):
        title = f"{view.gaps[0].slow.title} minus {view.gaps[0].fast.title}, per step"
        found.append((title, charts.flame_difference(*both, title)))
    return [(title, _svg_uri(charts.svg(figure))) for title, figure in found]


def _svg_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _phase_row(view: View, phase: Phase) -> dict[str, Any]:
    return {
        "phase": phase,
        "cells": [_cell(subject, phase) for subject in view.subjects],
        "gap": _gap_cell(view.gaps[0], phase) if view.gaps else None,
    }


def _cell(subject: Subject, phase: Phase) -> dict[str, str]:
    i = subject.epoch.interval(phase)
    if i is None:
        has = phase in subject.first.manifest["framework"]["phases"]
        unknown = "unknown" if phase is Phase.FLUSH else "not done"
        return {"seconds": unknown if has else "n/a", "range": "", "share": ""}
    share = theme.percent(i.value / subject.epoch.total.value)
    return {"seconds": theme.seconds(i.value), "range": theme.within(i.low, i.high), "share": share}


def _chain_rows(view: View) -> list[list[str]]:
    """By phase: the gap from the slowest to the fastest, and the steps that it is made of."""
    rows = []
    for phase in view.phases:
        parts = [g.by_phase.get(phase) for g in view.chain]
        known = [part for part in parts if part is not None]
        if known:
            cells = [theme.interval(part.interval()) if part else "n/a" for part in parts]
            rows.append([str(phase), theme.seconds(sum(part.value for part in known)), *cells])
    if view.chain:
        whole = theme.seconds(sum(g.seconds.value for g in view.chain))
        rows.append(["epoch", whole, *(theme.interval(g.seconds.interval()) for g in view.chain)])
    return rows


def _layer_rows(view: View) -> list[list[str]]:
    """The headline pair's layers by their contribution to the gap; none without both drill-downs."""
    both = view.of_headline(view.layers)
    return layer_tables.of_two(*both) if both else []


def _family_rows(view: View) -> list[list[str]]:
    """The headline pair's families of operators; none without both drill-downs."""
    both = view.of_headline(view.operators)
    return layer_tables.families_of_two(*both) if both else []


def _run_row(subject: Subject, run: Run) -> dict[str, Any]:
    """How a run went: its beginning, and its steady as-run steps."""
    steps = steady_steps(run)
    more = more_steps(run)
    return {
        "title": subject.title,
        "id": short_id(run),
        "warm_up": warm_up(run),
        "count": len(steps),
        "spread": spread(steps.wall_ns * NS),
        "more": "unknown" if more is None else "none" if more == 0 else str(more),
        "stopped": run.manifest.get("stopped", f"the run is {run.status}"),
        "machine": _machine(run),
    }


def _machine(run: Run) -> str:
    """What the machine did meanwhile."""
    if not run.readings:
        return "unknown"
    loads = [reading.load_1min for reading in run.readings]
    cores, steal = cores_busy(run), stolen(run)
    return "; ".join(
        (
            f"load {min(loads):.1f} to {max(loads):.1f}",
            "cores busy: " + ("unknown" if cores is None else f"{cores:.2f}"),
            "stolen: " + ("unknown" if steal is None else theme.percent(steal)),
        )
    )


def _ledgers(subject: Subject) -> dict[str, Any]:
    """As charged beside where the work was done, and the difference per step, by phase."""
    assert subject.fenced is not None
    rows = [
        (phase, _cell(subject, phase), _cell(subject.fenced, phase), theme.interval(difference.interval()))
        for phase, difference in differences(subject).items()
    ]
    return {"title": subject.title, "rows": rows}


def _gap_cell(gap: Gap, phase: Phase) -> dict[str, str]:
    part = gap.by_phase.get(phase)
    if part is None:
        return {"seconds": "not compared", "range": "", "share": ""}
    i = part.interval()
    share = theme.percent(i.value / gap.seconds.value) if gap.seconds.value else ""
    return {"seconds": theme.seconds(i.value), "range": theme.within(i.low, i.high), "share": share}


def _accuracy_rows(view: View) -> list[tuple[str, list[str]]]:
    """The article's table of metrics: measured columns first, then the article's own."""
    measured = [_measured(subject) for subject in view.subjects]
    names = [
        ("first batch loss", "first_batch_loss"), ("train loss", "train_loss"), ("test loss", "test_loss"),
        ("train accuracy", "train_acc"), ("test accuracy", "test_acc"), ("epoch time", "epoch_time"),
    ]  # fmt: skip
    return [(title, [column[key] for column in (*measured, *map(_article, view.article))]) for title, key in names]


def _measured(subject: Subject) -> dict[str, str]:
    run = subject.first
    last = run.epochs[-1] if run.epochs else None
    names = ("train_loss", "test_loss", "train_acc", "test_acc")
    return {
        "first_batch_loss": f"{run.train.loss[0]:.3f}",
        **{name: _number(getattr(last, name, None)) for name in names},
        "epoch_time": theme.seconds(subject.epoch.total.value),
    }


def _article(column: article.ArticleRun) -> dict[str, str]:
    return {**column._asdict(), "epoch_time": theme.seconds(column.epoch_seconds)}


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"

"""The rows of the page's tables, as text."""

from typing import Any

from epoch_gap.profiler.analysis.epoch import NS, more_steps, steady_steps, warm_up
from epoch_gap.profiler.analysis.flags import cores_busy, stolen
from epoch_gap.profiler.analysis.stats import Spread, inflation, spread, unseen_share
from epoch_gap.profiler.comparison.attribution import differences
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import CLOCK, MEANING, Phase
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import article, theme
from epoch_gap.reports.sentences.verdict import is_own, short_id
from epoch_gap.reports.terminal import layers as layer_tables
from epoch_gap.reports.view import View


def phase_row(view: View, phase: Phase) -> dict[str, Any]:
    """A phase in every subject, and in the gap."""
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


def glossary(view: View) -> list[dict[str, Any]]:
    """What each phase is, and what runs between its two marks in each framework.

    What starts and stops the clocks is known of the built-in loop alone; a loop of one's own says so itself.
    """
    clocks = [s.first.manifest["framework"].get("clocks", {}) for s in view.subjects]
    has = [s.first.manifest["framework"]["phases"] for s in view.subjects]
    return [
        {
            "phase": phase,
            "meaning": MEANING[phase],
            "clock": "" if is_own(view.subjects) else CLOCK[phase],
            "calls": [c.get(phase, "" if phase in h else "n/a") for c, h in zip(clocks, has, strict=True)],
        }
        for phase in view.phases
    ]


def chain_rows(view: View) -> list[list[str]]:
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


def layer_rows(view: View) -> list[list[str]]:
    """The headline pair's layers by their contribution to the gap; none without both drill-downs."""
    both = view.of_headline(view.layers)
    return layer_tables.of_two(*both, view.ceilings) if both else []


def family_rows(view: View) -> list[list[str]]:
    """The headline pair's families of operators; none without both drill-downs."""
    both = view.of_headline(view.operators)
    return layer_tables.families_of_two(*both) if both else []


def run_row(view: View, subject: Subject, run: Run) -> dict[str, Any]:
    """How a run went: its beginning, and its steady as-run steps."""
    steps = steady_steps(run)
    more, found = more_steps(run), spread(steps.wall_ns * NS)
    return {
        "title": subject.title,
        "id": short_id(run),
        "warm_up": warm_up(run),
        "count": len(steps),
        "spread": found,
        "more": "unknown" if more is None else "none" if more == 0 else str(more),
        "flags": list(dict.fromkeys(flag.name for flag in view.flags[subject.id][run.id])),
        "unseen": _outliers_in_words(found, round(len(steps) / inflation(steps.wall_ns))),
        "stopped": run.manifest.get("stopped", f"the run is {run.status}"),
        "machine": _machine(run),
    }


def _outliers_in_words(found: Spread, steps: int) -> str:
    """What they do to the mean; where none was seen in that many independent steps, how many there may be."""
    if found.outliers:
        return f"mean without {theme.seconds(found.mean_without)}"
    return f"fewer than {theme.percent(unseen_share(steps))}"


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


def ledgers(subject: Subject) -> dict[str, Any]:
    """As charged beside where the work was done, and the difference per step, by phase."""
    assert subject.fenced is not None
    rows = [
        (phase, _cell(subject, phase), _cell(subject.fenced, phase), theme.interval_ms(difference.interval()))
        for phase, difference in differences(subject).items()
    ]
    return {"title": subject.title, "rows": rows}


def _gap_cell(gap: Gap, phase: Phase) -> dict[str, str]:
    part = gap.by_phase.get(phase)
    if part is None:
        return {"seconds": "not compared", "range": "", "share": ""}
    i = part.interval()
    share = gap.share(i.value)
    said = "" if share is None else theme.percent(share)
    return {"seconds": theme.seconds(i.value), "range": theme.within(i.low, i.high), "share": said}


def accuracy_rows(view: View) -> list[tuple[str, list[str]]]:
    """The article's table of metrics: measured columns first, then the article's own."""
    measured = [_measured(subject) for subject in view.subjects]
    names = [
        ("epoch time", "epoch_time"), ("first batch loss", "first_batch_loss"), ("train loss", "train_loss"),
        ("test loss", "test_loss"), ("train accuracy", "train_acc"), ("test accuracy", "test_acc"),
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

"""The rows of the page's tables, as text."""

import math
from collections.abc import Mapping
from typing import Any

from epoch_gap.profiler.analysis.accuracy import list_evaluations
from epoch_gap.profiler.analysis.kernel_time import PhaseUsage
from epoch_gap.profiler.analysis.run_analysis import RunAnalysis
from epoch_gap.profiler.analysis.stats import Estimate, Interval, unseen_share
from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.comparison.kernel_gap import (
    mean_kernel_seconds,
    mean_kernel_time,
    mean_usage,
    mean_usage_of_steps,
    measure_kernel_gap,
)
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import CLOCK, MEANING, Phase
from epoch_gap.reports import article, formats
from epoch_gap.reports.page.layer_rows import layer_difference_rows, operator_difference_rows
from epoch_gap.reports.sentences.accuracy import describe_evaluation
from epoch_gap.reports.sentences.warm_up import describe_start
from epoch_gap.reports.view import View


def phase_row(view: View, phase: Phase) -> dict[str, Any]:
    """A phase in every subject and in the gap."""
    return {
        "phase": phase,
        "cells": [_cell(subject, phase) for subject in view.subjects],
        "gap": _gap_cell(view.gaps[0], phase) if view.gaps else None,
    }


def meaning_of(phase: Phase) -> str:
    """What a phase is; a custom loop describes its own by their clocks."""
    return "of the training loop's own" if phase.is_own else MEANING[phase]


def _cell(subject: Subject, phase: Phase) -> dict[str, str]:
    i = subject.epoch.interval(phase)
    if i is None:
        has = phase in subject.framework.phases
        unknown = "unknown" if phase is Phase.FLUSH else "not done"
        return {"seconds": unknown if has else "n/a", "range": "", "share": ""}
    return {**_interval_cell(i), "share": formats.percent(i.value / subject.epoch.total.value)}


def glossary(view: View) -> list[dict[str, Any]]:
    """The meaning of each phase, and the calls between its two marks in each framework.

    The start and the end of a clock are known for the built-in loop; a custom training loop describes its own.
    """
    is_custom = any(subject.is_custom for subject in view.subjects)
    return [
        {
            "phase": phase,
            "meaning": meaning_of(phase),
            "clock": "" if is_custom else CLOCK.get(phase, ""),
            "calls": [_calls(subject, phase) for subject in view.subjects],
        }
        for phase in view.phases
    ]


def _calls(subject: Subject, phase: Phase) -> str:
    return subject.framework.clocks.get(phase, "" if phase in subject.framework.phases else "n/a")


def chain_rows(view: View) -> list[list[str]]:
    """By phase: the gap from the slowest to the fastest, and the gaps between neighbours that it consists of."""
    rows = []
    for phase in view.phases:
        parts = [g.by_phase.get(phase) for g in view.chain]
        known = [part for part in parts if part is not None]
        if known:
            cells = [formats.interval(part.interval()) if part else "n/a" for part in parts]
            rows.append([str(phase), formats.seconds(sum(part.value for part in known)), *cells])
    if view.chain:
        whole = formats.seconds(sum(g.seconds.value for g in view.chain))
        rows.append([view.size.whole, whole, *(formats.interval(g.seconds.interval()) for g in view.chain)])
    return rows


def layer_rows(view: View) -> list[list[str]]:
    """The headline pair's layers by their contribution to the gap; none without both drill-downs."""
    both = view.for_headline(view.drilldowns.layers)
    return layer_difference_rows(*both, view.peak_rates) if both else []


def category_rows(view: View) -> list[list[str]]:
    """The headline pair's operator categories; none without both drill-downs."""
    both = view.for_headline(view.drilldowns.operators)
    return operator_difference_rows(*both) if both else []


def run_row(subject: Subject, analysis: RunAnalysis) -> dict[str, Any]:
    """The start of a run, its steady as-run steps, and the machine."""
    run, more = analysis.run, analysis.more_steps
    return {
        "title": subject.title,
        "id": run.short_id,
        "warm_up": analysis.warm_up,
        "start": describe_start(analysis.warm_up),
        "count": len(analysis.asrun.steady),
        "spread": analysis.spread,
        "more": "unknown" if more is None else "none" if more == 0 else str(more),
        "flags": analysis.flag_titles,
        "unseen": _describe_outliers(analysis),
        "stopped": run.manifest.stopped or f"the run is {run.status}",
        "machine": _describe_machine(analysis),
    }


def _describe_outliers(analysis: RunAnalysis) -> str:
    """The mean without outliers; if there are none, the upper bound on their share."""
    if analysis.spread.outliers:
        return f"mean without {formats.seconds(analysis.spread.mean_without)}"
    return f"fewer than {formats.percent(unseen_share(analysis.independent_steps))}"


def _describe_machine(analysis: RunAnalysis) -> str:
    """Load, cores busy and stolen CPU time during the run."""
    readings = analysis.run.readings
    if not readings:
        return "unknown"
    loads = [reading.load_1min for reading in readings]
    cores, stolen = analysis.cores_busy, analysis.stolen_share
    return "; ".join(
        (
            f"load {min(loads):.1f} to {max(loads):.1f}",
            "cores busy: " + ("unknown" if cores is None else f"{cores:.2f}"),
            "stolen: " + ("unknown" if stolen is None else formats.percent(stolen)),
        )
    )


def timing_modes(subject: Subject) -> dict[str, Any]:
    """As charged beside where the work was done, and the difference per step, by phase."""
    assert subject.fenced is not None
    assert subject.fence_effect is not None
    rows = [
        (phase, _cell(subject, phase), _cell(subject.fenced, phase), formats.interval_ms(difference.interval()))
        for phase, difference in subject.fence_effect.by_phase.items()
    ]
    return {"title": subject.title, "rows": rows}


def kernel_rows(view: View) -> list[dict[str, Any]]:
    """By phase: the operating system's seconds per epoch, cores busy and page faults/s, and its part of the gap.

    The whole epoch comes last. Empty if no subject's counters have a phase.
    """
    seconds = [mean_kernel_seconds(subject) for subject in view.subjects]
    usages = [mean_usage(subject) for subject in view.subjects]
    shown = [phase for phase in view.phases if any(phase in of_subject for of_subject in seconds)]
    if not shown:
        return []
    gap = measure_kernel_gap(view.gaps[0]) if view.gaps else None
    by_phase = (gap.by_phase if gap else None) or {}
    rows = [
        {
            "phase": phase,
            "cells": [
                cell
                for subject, of_subject, usage in zip(view.subjects, seconds, usages, strict=True)
                for cell in (_kernel_cell(subject, of_subject, phase), *_usage_cells(usage.get(phase)))
            ],
            "gap": _estimate_cell(by_phase.get(phase)),
        }
        for phase in shown
    ]
    wholes = [
        cell
        for subject in view.subjects
        for cell in (_estimate_cell(mean_kernel_time(subject)), *_usage_cells(mean_usage_of_steps(subject)))
    ]
    return [*rows, {"phase": None, "cells": wholes, "gap": _estimate_cell(gap.seconds if gap else None)}]


def _kernel_cell(subject: Subject, seconds: Mapping[Phase, float], phase: Phase) -> dict[str, str]:
    unknown = "unknown" if phase in subject.framework.phases else "n/a"
    return {"seconds": formats.seconds(seconds[phase]) if phase in seconds else unknown, "range": ""}


def _usage_cells(usage: PhaseUsage | None) -> tuple[dict[str, str], dict[str, str]]:
    cores, faults = ("", "") if usage is None else (f"{usage.cores_busy:.2f}", formats.count(usage.faults))
    return {"seconds": cores, "range": ""}, {"seconds": faults, "range": ""}


def _estimate_cell(estimate: Estimate | None) -> dict[str, str]:
    return {"seconds": "unknown", "range": ""} if estimate is None else _interval_cell(estimate.interval())


def _interval_cell(i: Interval) -> dict[str, str]:
    return {"seconds": formats.seconds(i.value), "range": formats.within(i.low, i.high)}


def _gap_cell(gap: Gap, phase: Phase) -> dict[str, str]:
    part = gap.by_phase.get(phase)
    if part is None:
        return {"seconds": "not compared", "range": "", "share": ""}
    i = part.interval()
    share = gap.share(i.value)
    return {**_interval_cell(i), "share": "" if share is None else formats.percent(share)}


def accuracy_rows(view: View) -> list[tuple[str, list[str]]]:
    """The article's table of metrics: measured columns first, then the article's own numbers."""
    measured = [_measured(subject) for subject in view.subjects]
    names = {
        f"time per {view.size.span}" if view.size.is_stream else "epoch time": "epoch_time",
        "first batch loss": "first_batch_loss",
        "train loss": "train_loss",
        "test loss": "test_loss",
        "train accuracy": "train_acc",
        "test accuracy": "test_acc",
        "evaluated": "evaluated",
    }
    columns = [*measured, *map(_article, view.article)]
    return [(title, [column[key] for column in columns]) for title, key in names.items()]


def _measured(subject: Subject) -> dict[str, str]:
    run = subject.first
    last = run.epochs[-1] if run.epochs else None
    names = ("train_loss", "test_loss", "train_acc")
    evaluations = list_evaluations(run)
    return {
        "first_batch_loss": _number(run.train.loss[0]),
        **{name: _number(getattr(last, name, None)) for name in names},
        "test_acc": _with_interval(evaluations[-1].accuracy) if evaluations else "n/a",
        "evaluated": describe_evaluation(evaluations[-1]) if evaluations else "n/a",
        "epoch_time": formats.seconds(subject.epoch.total.value),
    }


def _article(column: article.ArticleRun) -> dict[str, str]:
    return {**column._asdict(), "epoch_time": formats.seconds(column.epoch_seconds), "evaluated": "n/a"}


def _with_interval(i: Interval) -> str:
    return f"{_number(i.value)} ({_number(i.low)} to {_number(i.high)})"


def _number(value: float | None) -> str:
    return "n/a" if value is None or math.isnan(value) else f"{value:.3f}"

"""Compare two configurations: B beside A, phase by phase, in the terminal and as a page; a gate for CI."""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from epoch_gap.profiler.commands import report
from epoch_gap.profiler.commands.exit_status import GATE_FAILED, output
from epoch_gap.profiler.commands.options import add_runs_dir
from epoch_gap.profiler.comparison import gap as compare
from epoch_gap.profiler.comparison import gate, subject
from epoch_gap.profiler.comparison import noise_floor as noise
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.drilldown.matching import Found, contender
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage import store
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.report import render_subjects
from epoch_gap.reports.terminal.comparison import comparison


def percentage(text: str) -> float:
    """A finite number of at least 0, for argparse."""
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a percentage of at least 0")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    for side in ("A", "B"):
        parser.add_argument(side.lower(), metavar=side, help="a run, or its repeats: RUN,RUN,...")
    parser.add_argument(
        "--fail-above",
        type=percentage,
        metavar="PERCENT",
        help="exit status 1 where the whole 95 %% interval of B / A lies above 1 + PERCENT / 100, that of "
        "the difference excludes 0, and the ratio is beyond the noise floor",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the comparison as a page, too")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the comparison. Raises UserError where batch size or data differ."""
    sides = [[store.read(store.locate(name, args.runs_dir)) for name in side.split(",")] for side in (args.a, args.b)]
    runs = [run for side in sides for run in side]
    if len({run.id for run in runs}) < len(runs):
        raise UserError("a run cannot stand on both sides, nor twice on one")
    subject.check_comparable(runs)
    a, b = (_subject(side, name) for side, name in zip(sides, "AB", strict=True))
    if a.id == b.id:
        a, b = (replace(s, id=f"{s.id} ({s.side})") for s in (a, b))
    floors = report.floors(args.runs_dir)
    floor = noise.applying(floors, runs)
    gap = compare.gap(b, a, floor.share if floor else None)
    page = _write([a, b], floors, args) if args.out else None
    decision = None if args.fail_above is None else gate.decide(gap, args.fail_above / 100)
    with output():  # whoever reads may have read enough: what was decided stands
        print(comparison(a, b, gap, floor))
        if page:
            print(f"report: {page}")
        if decision is not None:
            _say(decision)
    return GATE_FAILED if decision is not None and decision.failed else 0


def _subject(side: Sequence[Run], name: str) -> Subject:
    """Raises UserError unless all runs of a side repeat one configuration."""
    ids = {subject.subject_id(run) for run in side}
    if len(ids) > 1:
        raise UserError(f"the runs of one side are of different configurations: {', '.join(sorted(ids))}")
    in_turn = sorted(side, key=lambda run: run.id)  # as they were paired
    return subject.of(ids.pop(), tuple(in_turn), name)


def _write(subjects: Sequence[Subject], floors: noise.Floors, args: argparse.Namespace) -> Path:
    """Write the page; where it is. Two of one kind get no drill-downs: the newest is not of both."""
    runs = [run for s in subjects for run in s.runs]
    kinds = {contender(s.first.framework, str(s.first.manifest["framework"]["device"])) for s in subjects}
    found = report.drilldowns(runs, args.runs_dir) if len(kinds) > 1 else Found()
    page = render_subjects(subjects, floors, found)
    report.put(page, args.out)
    return Path(args.out) / page.page


def _say(decision: gate.Decision) -> None:
    if decision.known:
        print(f"gate: {decision.text}")
    else:
        print(f"WARNING: gate: {decision.text}", file=sys.stderr)

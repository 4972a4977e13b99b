"""Compare two configurations phase by phase, in the terminal and as a page, with a gate for CI."""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from epoch_gap.profiler.commands.shared.earlier_sessions import find_known_spread
from epoch_gap.profiler.commands.shared.exit_status import GATE_FAILED
from epoch_gap.profiler.commands.shared.options import add_runs_dir
from epoch_gap.profiler.commands.shared.output_folder import write_report
from epoch_gap.profiler.commands.shared.printing import tolerate_closed_pipe, warn
from epoch_gap.profiler.commands.shared.run_selection import readable_noise_floors
from epoch_gap.profiler.comparison.gap import Gap, measure_gap
from epoch_gap.profiler.comparison.gate import GateDecision, decide_gate
from epoch_gap.profiler.comparison.identity import check_comparable, drilldown_key, subject_id
from epoch_gap.profiler.comparison.spread_history import KnownSpread
from epoch_gap.profiler.comparison.subject import Subject, shorten_titles
from epoch_gap.profiler.drilldown.loading import load_drilldowns
from epoch_gap.profiler.drilldown.matching import Drilldowns
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.reader import locate_run, read_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.report import render_subjects
from epoch_gap.reports.sentences.gate import describe_decision
from epoch_gap.reports.terminal.comparison import comparison_table


def parse_percentage(text: str) -> float:
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
        type=parse_percentage,
        metavar="PERCENT",
        help="exit status 1 if the whole 95 %% interval of B / A is above 1 + PERCENT / 100, that of "
        "the difference excludes 0, and the ratio is beyond the noise floor",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write the comparison as a page")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the comparison. Raises UserError if batch size or data differ."""
    sides = [[read_run(locate_run(name, args.runs_dir)) for name in side.split(",")] for side in (args.a, args.b)]
    runs = [run for side in sides for run in side]
    if len({run.id for run in runs}) < len(runs):
        raise UserError("a run cannot be on both sides, or twice on one side")
    check_comparable(runs)
    a, b = (_subject(side, name) for side, name in zip(sides, "AB", strict=True))
    if a.id == b.id:
        a, b = (replace(s, id=f"{s.id} ({s.side})") for s in (a, b))
    a, b = shorten_titles([a, b])
    spread = find_known_spread(runs, args.runs_dir, readable_noise_floors(args.runs_dir))
    gap = measure_gap(b, a, spread=spread)
    page = _write_page([a, b], spread, args.out, args.runs_dir) if args.out else None
    decision = None if args.fail_above is None else decide_gate(gap, args.fail_above / 100)
    with tolerate_closed_pipe():  # the decision holds even if the reader closes the pipe early
        print(comparison_table(a, b, gap, spread.floor_of(a, b)))
        if page:
            print(f"report: {page}")
        if decision is not None:
            _print_decision(decision, gap, args.fail_above / 100)
    return GATE_FAILED if decision is GateDecision.FAILED else 0


def _subject(side: Sequence[Run], name: str) -> Subject:
    """Raises UserError unless all runs of a side repeat one configuration."""
    ids = {subject_id(run.manifest) for run in side}
    if len(ids) > 1:
        raise UserError(f"the runs of one side have different configurations: {', '.join(sorted(ids))}")
    by_age = sorted(side, key=lambda run: run.id)  # the order of the pairs
    return Subject.from_runs(by_age, side=name)


def _write_page(subjects: Sequence[Subject], spread: KnownSpread, out: Path, runs_dir: Path) -> Path:
    """Write the page and return its path.

    Two subjects of one framework and device are shown without drill-downs, as the newest belongs to only one of them.
    """
    runs = [run for subject in subjects for run in subject.runs]
    keys = {drilldown_key(subject.manifest) for subject in subjects}
    drilldowns = load_drilldowns(runs, runs_dir, warn) if len(keys) > 1 else Drilldowns()
    return write_report(render_subjects(subjects, drilldowns, spread=spread), out)


def _print_decision(decision: GateDecision, gap: Gap, allowed: float) -> None:
    text = describe_decision(decision, gap, allowed)
    if decision is GateDecision.UNKNOWN:
        print(f"WARNING: gate: {text}", file=sys.stderr)
    else:
        print(f"gate: {text}")

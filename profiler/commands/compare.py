"""Compare two configurations phase by phase, with a gate for CI: as text, Markdown or JSON, and as a page."""

import argparse
import sys
from dataclasses import replace

from epoch_gap.profiler.commands.shared.comparing import (
    add_output,
    compare_sides,
    print_comparison,
    write_page,
)
from epoch_gap.profiler.commands.shared.options import add_runs_dir, parse_percentage
from epoch_gap.profiler.commands.shared.output_folder import prepare_report_folder
from epoch_gap.profiler.commands.shared.side_drilldowns import time_sides
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.baseline_store import find_baseline
from epoch_gap.profiler.storage.reader import locate_run, read_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("a", metavar="A", help="a run, or its repeats: RUN,RUN,...; with --against, B")
    parser.add_argument("b", metavar="B", nargs="?", help="the same; compared with A")
    parser.add_argument("--against", metavar="NAME", help="compare with the baseline of this name, in place of A")
    parser.add_argument(
        "--fail-above",
        type=parse_percentage,
        metavar="PERCENT",
        help="exit status 1 if the whole 95 %% interval of B / A is above 1 + PERCENT / 100, that of "
        "the difference excludes 0, and the ratio is beyond the noise floor",
    )
    parser.add_argument(
        "--drill-down",
        action="store_true",
        help="if the gate fails, time the layers and operators of both sides and show where they differ",
    )
    add_output(parser)
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the comparison. Raises UserError if batch size or data differ."""
    names = _sides(args)
    sides = [[read_run(locate_run(name, args.runs_dir)) for name in side] for side in names]
    if args.out:
        prepare_report_folder(args.out)
    allowed = None if args.fail_above is None else args.fail_above / 100
    comparison, spread = compare_sides(sides, args.runs_dir, allowed)
    if args.drill_down and comparison.has_failed:
        subjects, pythons = (comparison.a, comparison.b), (sys.executable, sys.executable)
        comparison = replace(comparison, drilldowns=time_sides(subjects, pythons, args.runs_dir))
    page = write_page(comparison, spread, args.out, args.runs_dir) if args.out else None
    return print_comparison(comparison, args.format, page)


def _sides(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The names of the runs of A and of B. Raises UserError unless there are exactly two sides."""
    if args.against is not None and args.b is None:
        return list(find_baseline(args.runs_dir, args.against).runs), args.a.split(",")
    if args.against is not None:
        raise UserError("--against names A, so give only B")
    if args.b is None:
        raise UserError("give a second run, or --against and the name of a baseline")
    return args.a.split(","), args.b.split(",")

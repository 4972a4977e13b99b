"""Run two versions of a framework in rounds that take turns, compare them, and fail if the second is too slow."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from epoch_gap.profiler.commands.shared.comparing import (
    add_output,
    compare_sides,
    print_comparison,
    write_page,
)
from epoch_gap.profiler.commands.shared.options import (
    add_framework,
    add_workload,
    check_no_fixed_length,
    parse_pairs,
    parse_percentage,
    parse_positive,
    workload_arguments,
)
from epoch_gap.profiler.commands.shared.output_folder import prepare_report_folder
from epoch_gap.profiler.commands.shared.printing import ProgressLine, warn
from epoch_gap.profiler.commands.shared.rounds import GATE_ROUNDS, Budget
from epoch_gap.profiler.commands.shared.sessions import EXPLAINED, run_rounds
from epoch_gap.profiler.commands.shared.side_drilldowns import time_sides
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.workloads.cifar10.load import resolve_source

BASE, HEAD = "base", "head"
FOLDER = "gate"
"""folder inside the runs' directory, so that reports do not select these runs"""
ALLOWED, MINUTES = 2.0, 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_framework(parser)
    for side in (BASE, HEAD):
        parser.add_argument(
            f"--{side}",
            default=sys.executable,
            metavar="PYTHON",
            help=f"the interpreter of {side}: that of an environment with its version (default: this one)",
        )
    parser.add_argument(
        "--fail-above",
        type=parse_percentage,
        default=ALLOWED,
        metavar="PERCENT",
        help=f"as of compare (default: {ALLOWED:g})",
    )
    parser.add_argument(
        "--repeats", type=parse_pairs, default=GATE_ROUNDS, metavar="N", help=f"rounds (default: {GATE_ROUNDS})"
    )
    parser.add_argument(
        "--minutes", type=parse_positive, default=MINUTES, metavar="N", help=f"of all rounds (default: {MINUTES})"
    )
    parser.add_argument(
        "--drill-down",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="if it fails, time the layers and operators of both sides and show where they differ (default: yes)",
    )
    add_output(parser)
    add_workload(parser)


def execute(args: argparse.Namespace) -> int:
    """Measure both sides, print the comparison, and return the gate's status.

    Raises UserError if a side could not be measured: then the gate has not failed.
    """
    check_no_fixed_length(args)
    pythons = {side: _find_python(getattr(args, side)) for side in (BASE, HEAD)}
    if args.out:
        prepare_report_folder(args.out)
    data, warning = resolve_source(args.data)
    if warning:
        warn(warning)
    folder = args.runs_dir / FOLDER
    workload = workload_arguments(args, data=data, runs_dir=folder, fence=args.fence or "none")
    common = ["--framework", args.framework, *workload, "--data-warning", warning or ""]
    labels = {side: f"{args.framework} {side}" for side in (BASE, HEAD)}
    arguments = {side: [*common, "--label", label] for side, label in labels.items()}
    status, paths = _run(args, arguments, pythons)
    if status:
        return status
    runs = [read_run(path) for path in paths]
    sides = [[run for run in runs if run.config.label == label] for label in labels.values()]
    comparison, spread = compare_sides(sides, folder, args.fail_above / 100, beside=args.runs_dir)
    if args.drill_down and comparison.has_failed:
        timed = time_sides((comparison.a, comparison.b), list(pythons.values()), folder, data)
        comparison = replace(comparison, drilldowns=timed)
    page = write_page(comparison, spread, args.out, folder) if args.out else None
    return print_comparison(comparison, args.format, page)


def _run(
    args: argparse.Namespace, arguments: dict[str, list[str]], pythons: dict[str, str]
) -> tuple[int, Sequence[Path]]:
    """The exit status of the rounds, and the runs. A crash is no slowdown: it has a status of its own."""
    show = ProgressLine(sys.stderr, args.quiet)
    budget = Budget(60.0 * args.minutes, args.repeats)
    status, paths = run_rounds(arguments, budget, args.allow_busy, show, pythons=pythons)
    show.close()
    if status and status not in EXPLAINED:
        raise UserError("no comparison: a side could not be run")
    return status, paths


def _find_python(name: str) -> str:
    """The path of an interpreter. Raises UserError if there is none."""
    path = shutil.which(name)
    if path is None:
        raise UserError(f"no interpreter {name!r}")
    return path

"""Test explanations: predict from stored runs, change one thing, measure, and score the prediction."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from epoch_gap.profiler.commands.shared.exit_status import INTERRUPTED, TERMINATED
from epoch_gap.profiler.commands.shared.experiment_plan import ALL
from epoch_gap.profiler.commands.shared.experiment_processes import FreshProcesses
from epoch_gap.profiler.commands.shared.experiment_session import ExperimentSession
from epoch_gap.profiler.commands.shared.options import add_framework, add_workload, parse_delayable, parse_positive
from epoch_gap.profiler.commands.shared.output_folder import REPORTS, prepare_report_folder
from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.commands.shared.reporting import report_runs
from epoch_gap.profiler.commands.shared.run_selection import add_latest_candidates
from epoch_gap.profiler.experiments.assessment import load_assessment
from epoch_gap.profiler.storage.reader import locate_run, read_run
from epoch_gap.reports.terminal.experiments import experiment_table
from epoch_gap.workloads.cifar10.load import resolve_source
from epoch_gap.workloads.experiments import find_experiments

MINUTES = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help=f"experiments; {ALL}: all of the side; A+B: each, and both together"
    )
    add_framework(parser, default="lucid", help="the side (default: lucid)")
    parser.add_argument(
        "--minutes", type=parse_positive, default=MINUTES, metavar="N", help=f"time of all tests (default: {MINUTES})"
    )
    parser.add_argument(
        "--together", action="store_true", help="also test the experiments in combination, for their interactions"
    )
    parser.add_argument("--phase", type=parse_delayable, metavar="PHASE", help="where delay waits (default: forward)")
    parser.add_argument("--out", type=Path, default=REPORTS, metavar="DIR")
    add_workload(parser)
    for option in ("--fake-costs", "--fake-overlap"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    parser.add_argument("--fake-lazy", action="store_true", help=argparse.SUPPRESS)


def execute(args: argparse.Namespace) -> int:
    """Predict and store, measure, print the verdicts, then report. Finished tests of an interrupted session count."""
    show = _print_unless(args.quiet)
    session = ExperimentSession(args, find_experiments(), FreshProcesses(args.allow_busy, show), show)
    session.check_names()
    prepare_report_folder(args.out)
    args.data, warning = resolve_source(args.data)
    if warning:
        warn(warning)
    status, folder = session.execute()
    if status and status not in (INTERRUPTED, TERMINATED):
        return status
    assessment = load_assessment(folder)
    print(experiment_table(assessment))
    baseline = [read_run(locate_run(id, args.runs_dir)) for id in assessment.session.baseline]
    report_runs(add_latest_candidates(baseline, args.runs_dir), args.out, args.runs_dir)
    return status


def _print_unless(is_quiet: bool) -> Callable[[str], None]:
    return (lambda text: None) if is_quiet else (lambda text: print(text, file=sys.stderr, flush=True))

"""Train both sides for many epochs, then the cross of schedule and initialisation: why do the accuracies differ?"""

import argparse
import sys
from pathlib import Path

from epoch_gap.profiler.commands.shared.cross_plan import CrossTraining, check_sides
from epoch_gap.profiler.commands.shared.exit_status import INTERRUPTED, TERMINATED
from epoch_gap.profiler.commands.shared.options import add_workload, framework_names, parse_positive
from epoch_gap.profiler.commands.shared.output_folder import REPORTS, prepare_report_folder
from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.commands.shared.reporting import report_runs
from epoch_gap.profiler.commands.shared.sessions import run_process
from epoch_gap.profiler.learning.assessment import assess_cross
from epoch_gap.reports.terminal.learning import cross_table
from epoch_gap.workloads.cifar10.load import resolve_source

OUT = REPORTS / "curve"
SEEDS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--frameworks", type=framework_names, default=["torch", "lucid"], metavar="A,B")
    parser.add_argument(
        "--seeds", type=parse_positive, default=SEEDS, metavar="N", help=f"of the cross (default: {SEEDS})"
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"default: {OUT}")
    add_workload(parser)
    parser.set_defaults(preset="curve")


def execute(args: argparse.Namespace) -> int:
    """Train, print the answers, and report. Finished trainings of an interrupted session count."""
    check_sides(args.frameworks)
    prepare_report_folder(args.out)
    args.data, warning = resolve_source(args.data)
    if warning:
        warn(warning)
    training = CrossTraining(args, run_process, lambda text: print(text, file=sys.stderr, flush=True))
    status, sides, folder = training.execute()
    if status and (status not in (INTERRUPTED, TERMINATED) or len(sides) < 2):
        return status
    if folder is not None:
        print(cross_table(assess_cross(folder, args.runs_dir, warn)))
    report_runs(sides, args.out, args.runs_dir)
    return status

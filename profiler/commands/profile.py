"""Run each framework in fresh processes, in an order fixed in advance, then report; the main job."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from epoch_gap.profiler.commands.shared.exit_status import INTERRUPTED, RANK_ENDED, TERMINATED
from epoch_gap.profiler.commands.shared.options import (
    add_switches,
    add_workload,
    architecture_of,
    framework_names,
    parse_positive,
    workload_arguments,
)
from epoch_gap.profiler.commands.shared.output_folder import RANKS, REPORTS, prepare_folder, prepare_report_folder
from epoch_gap.profiler.commands.shared.printing import ProgressLine, warn
from epoch_gap.profiler.commands.shared.rank_runs import report_ranks, run_ranks, threads_per_rank
from epoch_gap.profiler.commands.shared.reporting import report_runs
from epoch_gap.profiler.commands.shared.rounds import LEAST_ROUNDS, Budget
from epoch_gap.profiler.commands.shared.run_selection import add_latest_candidates
from epoch_gap.profiler.commands.shared.sessions import alternating_order, run_rounds, run_session
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.reports.page.ranks_page import FILES
from epoch_gap.workloads import registry
from epoch_gap.workloads.cifar10.load import resolve_source
from epoch_gap.workloads.experiments import switches_of_sides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--frameworks", type=framework_names, default=["torch", "lucid"], metavar="A,B")
    parser.add_argument(
        "--repeats",
        type=parse_positive,
        metavar="N",
        help=f"rounds (default: at least {LEAST_ROUNDS}, and more if --minutes allow), or processes per framework "
        "with another preset, a single framework, --steps, --seconds or --epochs (default: 1)",
    )
    parser.add_argument(
        "--minutes", type=parse_positive, default=10, metavar="N", help="time of all rounds together (default: 10)"
    )
    parser.add_argument(
        "--nproc",
        type=parse_positive,
        metavar="N",
        help="train on N ranks of this machine at once; one framework (default: no distributed training)",
    )
    parser.add_argument("--out", type=Path, default=REPORTS, metavar="DIR")
    add_switches(parser)
    add_workload(parser)


def execute(args: argparse.Namespace) -> int:
    """Run, then report on these runs together with the newest comparable ones of other frameworks.

    A switch is on in every framework that can have it. If the rounds are interrupted, those that were finished are
    reported.
    """
    for name in args.frameworks:
        registry.find_entry(name)  # refuse one that cannot be imported before any is trained
    switches = switches_of_sides(args.switch, args.frameworks, args.device, architecture_of(args))
    if args.nproc is not None:
        return _profile_ranks(args, switches)
    prepare_report_folder(args.out)
    data, warning = resolve_source(args.data)
    if warning:
        warn(warning)
    arguments = {
        name: [
            *("--framework", name),
            *workload_arguments(args, data=data, switch=switches[name]),
            *("--data-warning", warning or ""),
        ]
        for name in args.frameworks
    }
    if _takes_rounds(args):
        budget = Budget(60.0 * args.minutes, args.repeats)
        show = ProgressLine(sys.stderr, args.quiet)
        status, paths = run_rounds(arguments, budget, args.allow_busy, show)
        show.close()
        if status and not (paths and status in (INTERRUPTED, TERMINATED)):
            return status
    else:
        order = alternating_order(args.frameworks, args.repeats or 1)
        status, paths = run_session(arguments, order, args.allow_busy)
        if status:
            return status
    runs = add_latest_candidates([read_run(path) for path in paths], args.runs_dir)
    report_runs(runs, args.out, args.runs_dir)
    return status


def _profile_ranks(args: argparse.Namespace, switches: Mapping[str, Sequence[str]]) -> int:
    """Train one framework on several ranks, and report where they wait for each other."""
    if len(args.frameworks) != 1:
        raise UserError("--nproc: the ranks train one framework; name it with --frameworks")
    if args.repeats is not None:
        raise UserError("--nproc: the ranks are one training; `scaling --repeats` trains several")
    (name,) = args.frameworks
    out = args.out / RANKS.name
    prepare_folder(out, FILES)
    data, warning = resolve_source(args.data)
    if warning:
        warn(warning)
    words = [*workload_arguments(args, data=data, switch=switches[name]), "--data-warning", warning or ""]
    training = run_ranks(name, args.nproc, words, args.runs_dir, threads_per_rank(args.nproc), args.allow_busy)
    report_ranks(training, out)
    return 0 if training.is_complete else RANK_ENDED


def _takes_rounds(args: argparse.Namespace) -> bool:
    """Whether the amount of work is left to the rule of the rounds, and there is something to compare."""
    is_fixed = any(value is not None for value in (args.steps, args.seconds, args.epochs))
    return args.preset == "quick" and not is_fixed and len(set(args.frameworks)) > 1

"""Name the runs that later ones are compared with: `baseline set main RUN...`, then `compare RUN --against main`."""

import argparse
from datetime import UTC, datetime

from epoch_gap.profiler.commands.shared.options import add_runs_dir
from epoch_gap.profiler.comparison.identity import check_no_alternation, subject_id
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.baseline_store import Baseline, load_baselines, remove_baseline, save_baseline
from epoch_gap.profiler.storage.reader import locate_run, read_run

SET, LIST, REMOVE = "set", "list", "remove"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "action", metavar="ACTION", choices=(SET, LIST, REMOVE), help=f"{SET} NAME RUN..., {LIST}, or {REMOVE} NAME"
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="of the baseline")
    parser.add_argument("runs", metavar="RUN", nargs="*", help="the run, or its repeats")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Set, list or remove. Raises UserError for runs that repeat no single configuration."""
    if args.action != LIST and args.name is None:
        raise UserError(f"baseline {args.action} needs a name")
    if (args.action != SET and args.runs) or (args.action == LIST and args.name is not None):
        raise UserError(f"baseline {args.action} takes no {'run' if args.runs else 'name'}")
    {SET: _set, LIST: _list, REMOVE: _remove}[args.action](args)
    return 0


def _set(args: argparse.Namespace) -> None:
    if not args.runs:
        raise UserError("baseline set needs a run")
    runs = [read_run(locate_run(name, args.runs_dir)) for name in args.runs]
    if others := [run.path for run in runs if run.path.resolve().parent != args.runs_dir.resolve()]:
        raise UserError(f"{others[0]} is not in {args.runs_dir}")
    check_no_alternation(runs)
    ids = list(dict.fromkeys(subject_id(run.manifest) for run in runs))
    if len(ids) > 1:
        raise UserError(f"the runs of a baseline repeat one configuration, but these are of {', '.join(ids)}")
    if short := [run.id for run in runs if len(run.train) < 2]:
        raise UserError(f"{short[0]} has too few training steps to compare with")
    baseline = Baseline(
        tuple(dict.fromkeys(run.path.name for run in runs)), ids[0], datetime.now(UTC).date().isoformat()
    )
    save_baseline(args.runs_dir, args.name, baseline)
    print(_describe(args.name, baseline))


def _list(args: argparse.Namespace) -> None:
    known = load_baselines(args.runs_dir)
    print("\n".join(_describe(*item) for item in known.items()) or f"no baselines in {args.runs_dir}")


def _remove(args: argparse.Namespace) -> None:
    remove_baseline(args.runs_dir, args.name)
    print(f"removed: {args.name}")


def _describe(name: str, baseline: Baseline) -> str:
    return f"{name}  {baseline.subject}  {', '.join(baseline.runs)}  set {baseline.day}"

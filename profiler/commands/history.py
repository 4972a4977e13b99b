"""How long epochs took over all stored runs: a table, a picture and a CSV."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from epoch_gap.profiler.commands.options import add_runs_dir
from epoch_gap.profiler.commands.report import HISTORY, floors, prepare_for, writing
from epoch_gap.profiler.comparison.history import histories
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage import atomic as files
from epoch_gap.profiler.storage import store
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.charts import canvas, history
from epoch_gap.reports.terminal import history as history_text
from epoch_gap.workloads.registry import FRAMEWORKS

DEFAULT_OUT = Path("reports/out/history")
PICTURE = "history.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--framework", choices=FRAMEWORKS, help="default: all")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="default: %(default)s")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the histories and write them. Raises UserError where there is no run; then no file was touched."""
    left_out: dict[str, str] = {}
    found = histories(_runs(args.runs_dir, args.framework, left_out), left_out, floors(args.runs_dir))
    for name, reason in left_out.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    if not found:
        of = f" of {args.framework}" if args.framework else ""
        raise UserError(f"no run{of} with a full training step in {args.runs_dir}; `make profile` makes some")
    picture = canvas.png(history.history(found))
    prepare_for(args.out, [PICTURE, HISTORY])
    with writing(args.out):
        files.replace(args.out / PICTURE, picture)
        files.replace(args.out / HISTORY, history_text.history_csv(found))
    print(history_text.table(found))
    print(f"\nhistory: {args.out / PICTURE}, {args.out / HISTORY}")
    return 0


def _runs(runs_dir: Path, framework: str | None, left_out: dict[str, str]) -> Iterator[Run]:
    """The stored runs, oldest first; one that cannot be read goes to `left_out`."""
    for path in store.find(runs_dir):
        try:
            if framework is None or store.glance(path).manifest["config"]["framework"] == framework:
                yield store.read(path)
        except UserError as error:
            left_out[path.name] = str(error)

"""Epoch times over all stored runs: a table, a picture and a CSV."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from epoch_gap.profiler.commands.shared.options import FRAMEWORK, add_runs_dir
from epoch_gap.profiler.commands.shared.output_folder import HISTORIES, prepare_folder, write_files
from epoch_gap.profiler.commands.shared.run_selection import readable_noise_floors
from epoch_gap.profiler.comparison.history import build_histories
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.reader import find_runs, read_header, read_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.history import history
from epoch_gap.reports.export.report_csv import HISTORY_CSV, history_csv
from epoch_gap.reports.terminal.history import history_tables

PICTURE = "history.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--framework", metavar=FRAMEWORK, help="default: all")
    parser.add_argument("--out", type=Path, default=HISTORIES, metavar="DIR", help="default: %(default)s")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the histories and write them. Raises UserError if there is no run."""
    skipped: dict[str, str] = {}
    runs = _read_runs(args.runs_dir, args.framework, skipped)
    histories = build_histories(runs, skipped, readable_noise_floors(args.runs_dir))
    for name, reason in skipped.items():
        print(f"skipped: {name}: {reason}", file=sys.stderr)
    if not histories:
        framework = f" of {args.framework}" if args.framework else ""
        raise UserError(f"no run{framework} with a full training step in {args.runs_dir}; run `make profile`")
    picture = canvas.png(history(histories))
    prepare_folder(args.out, [PICTURE, HISTORY_CSV])
    write_files(args.out, {PICTURE: picture, HISTORY_CSV: history_csv(histories)})
    print(history_tables(histories))
    print(f"\nhistory: {args.out / PICTURE}, {args.out / HISTORY_CSV}")
    return 0


def _read_runs(runs_dir: Path, framework: str | None, skipped: dict[str, str]) -> Iterator[Run]:
    """The stored runs, oldest first; for each unreadable one, the reason is added to `skipped`."""
    for path in find_runs(runs_dir):
        try:
            if framework is None or read_header(path).manifest.config.framework == framework:
                yield read_run(path)
        except UserError as error:
            skipped[path.name] = str(error)

"""Compare two configurations in the terminal: B beside A, phase by phase."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from profiler import noise, store, subject
from profiler.commands.options import add_runs_dir
from profiler.errors import UserError
from profiler.run import Run
from reports import text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    for side in ("A", "B"):
        parser.add_argument(side.lower(), metavar=side, help="a run, or its repeats: RUN,RUN,...")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Print the comparison. Raises UserError where batch size or data differ."""
    sides = [[store.read(store.locate(name, args.runs_dir)) for name in side.split(",")] for side in (args.a, args.b)]
    runs = [run for side in sides for run in side]
    if len({run.id for run in runs}) < len(runs):
        raise UserError("a run cannot stand on both sides, nor twice on one")
    subject.check_comparable(runs)
    a, b = (_subject(side) for side in sides)
    if a.id == b.id:
        a, b = (replace(s, id=f"{s.id} ({name})") for name, s in (("A", a), ("B", b)))
    print(text.comparison(a, b, noise.applying(store.floors(args.runs_dir), runs)))
    return 0


def _subject(side: Sequence[Run]) -> subject.Subject:
    """Raises UserError unless all runs of a side repeat one configuration."""
    names = {subject.subject_id(run) for run in side}
    if len(names) > 1:
        raise UserError(f"the runs of one side are of different configurations: {', '.join(sorted(names))}")
    in_turn = sorted(side, key=lambda run: run.id)  # as they were paired
    return subject.of(names.pop(), tuple(in_turn))

"""Time the lines of a framework's hot functions by line_profiler: a run of its own, never a timed one."""

import argparse
import gc
import linecache
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FunctionType

from line_profiler import LineProfiler

from epoch_gap.profiler.commands import layers as layers_command
from epoch_gap.profiler.drilldown import lines, stacks
from epoch_gap.profiler.drilldown.spans import Spans
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage import store
from epoch_gap.reports.terminal import tables as text
from epoch_gap.workloads.framework import Framework

HOT = 5
"""functions, where none is named"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    layers_command.add_arguments(parser)
    parser.add_argument(
        "--function", action="append", metavar="FILE:NAME",
        help="the end of its file's path and its name; may be repeated (default: the hottest of the last `flame`)",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    """Store and print the lines."""
    wanted = _wanted(args)
    profiler = LineProfiler()
    functions: list[FunctionType] = []

    def watching(framework: Framework, spans: Spans) -> AbstractContextManager[None]:
        functions.extend(_found(wanted))  # before any step, the framework being loaded
        return _watched(profiler, functions)

    seen, conditions = layers_command.train(args, watching)
    found = _lines(profiler, functions)
    slowdown = sum(s.wall_ns for s in seen.watched) / sum(s.wall_ns for s in seen.plain)
    data = lines.to_json(conditions, found, len(seen.watched), slowdown)
    name = f"lines-{conditions['framework']['name']}-{conditions['framework']['device']}"
    print(text.top_lines(found, len(seen.watched), slowdown))
    print(store.keep_drilldown(args.runs_dir, name, lines.FILE, data))
    return 0


@contextmanager
def _watched(profiler: LineProfiler, functions: Sequence[FunctionType]) -> Iterator[None]:
    for function in functions:
        profiler.add_function(function)
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()


def _wanted(args: argparse.Namespace) -> list[tuple[str, str]]:
    """(end of a file's path, function) of what to watch. Raises UserError where nothing is known to be hot."""
    if args.function:
        pairs = [name.rpartition(":") for name in args.function]
        if any(not file or not function for file, _, function in pairs):
            raise UserError("--function takes FILE:NAME, for instance nn/functional/_conv.py:conv2d")
        return [(file, function) for file, _, function in pairs]
    newest = store.drilldowns(args.runs_dir, stacks.HOT, f"flame-{args.framework}-")[:1]
    known = store.text_of(newest[0]) if newest else None
    if known is None:
        raise UserError(
            f"no stacks of {args.framework} yet; `python -m profiler flame --framework {args.framework}` finds its "
            "hot functions, or name them by --function"
        )
    rows = [line.split(":") for line in known.splitlines() if line]
    if not rows:
        raise UserError(
            f"the stacks of {args.framework} have no Python function of its own that is hot: its work is done in "
            "native code; name functions by --function"
        )
    return [(file, function) for file, function, _ in rows[:HOT]]


def _found(wanted: Sequence[tuple[str, str]]) -> list[FunctionType]:
    """The loaded functions that are meant. Raises UserError for one that is not there."""
    loaded: list[FunctionType] = [o for o in gc.get_objects() if type(o) is FunctionType]
    found = []
    for file, name in wanted:
        here = [f for f in loaded if _is_named(f, name) and f.__code__.co_filename.endswith(file)]
        if not here:
            raise UserError(f"no function {name} in a loaded file that ends with {file}")
        found += here
    return found


def _is_named(function: FunctionType, name: str) -> bool:
    """By its plain name, or as a stack names it: Class.method."""
    return name in (function.__code__.co_name, function.__code__.co_qualname)


def _lines(profiler: LineProfiler, functions: Sequence[FunctionType]) -> list[lines.Function]:
    stats = profiler.get_stats()
    found = []
    for (file, _, name), timings in stats.timings.items():
        rows = [
            lines.Line(number, hits, ticks * stats.unit, linecache.getline(file, number).strip())
            for number, hits, ticks in timings
        ]
        found.append(lines.Function(_below_package(file), name, rows))
    return sorted(found, key=lambda function: -function.seconds)


def _below_package(file: str) -> str:
    """The path without what is the machine's own."""
    parts = Path(file).parts
    last = max((i for i, part in enumerate(parts) if part in ("site-packages", "lib")), default=-1)
    return str(Path(*parts[last + 1 :]))

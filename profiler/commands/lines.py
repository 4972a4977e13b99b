"""Time the lines of a framework's hot functions with line_profiler, in a separate run that is never a timed one."""

import argparse
import gc
import linecache
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType

from line_profiler import LineProfiler

from epoch_gap.profiler.command_name import command_name
from epoch_gap.profiler.commands.shared import watched_training
from epoch_gap.profiler.commands.shared.watched_training import train_watched
from epoch_gap.profiler.drilldown import stacks
from epoch_gap.profiler.drilldown.lines import LINES, Function, Line, LineTimes, lines_to_json
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.artifacts import find_artifacts, read_text_artifact, store_json_artifact
from epoch_gap.reports.terminal.drilldowns import slowest_lines
from epoch_gap.workloads.framework import Framework, Watch

HOT = 5
"""number of functions that are timed by default"""

Name = tuple[str, str]
"""(end of a file's path, function)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    watched_training.add_arguments(parser)
    parser.add_argument(
        "--function",
        action="append",
        metavar="FILE:NAME",
        help="end of a file's path, and a function in it; may be repeated "
        "(default: the hottest functions of the last `flame` run)",
    )


def execute(args: argparse.Namespace) -> int:
    """Store and print the lines."""
    names = _named(args.function) if args.function else _hottest(args.runs_dir, args.framework)
    profiler = LineProfiler()

    def choose_watch(framework: Framework) -> Watch:
        functions = _loaded_functions(names)  # by now the framework is imported
        return lambda spans: _timed(profiler, functions)

    training = train_watched(args, choose_watch)
    times = LineTimes(
        functions=_timed_functions(profiler),
        steps=len(training.steps.watched),
        slowdown=training.steps.slowdown,
        conditions=training.conditions,
    )
    print(slowest_lines(times))
    print(store_json_artifact(args.runs_dir, f"lines-{training.name}", LINES, lines_to_json(times)))
    return 0


@contextmanager
def _timed(profiler: LineProfiler, functions: Sequence[FunctionType]) -> Iterator[None]:
    for function in functions:
        profiler.add_function(function)
    profiler.enable()
    try:
        yield
    finally:
        profiler.disable()


def _named(options: Sequence[str]) -> list[Name]:
    """The functions that `--function` names. Raises UserError."""
    names = [option.rpartition(":") for option in options]
    if any(not file or not function for file, _, function in names):
        raise UserError("--function takes FILE:NAME, for instance nn/functional/_conv.py:conv2d")
    return [(file, function) for file, _, function in names]


def _hottest(runs_dir: Path, framework: str) -> list[Name]:
    """The hottest functions of the newest sampled stacks. Raises UserError if there are none."""
    newest = find_artifacts(runs_dir, stacks.HOT, f"flame-{framework}-")[:1]
    if not newest:
        raise UserError(
            f"no sampled stacks of {framework}; run `{command_name()} flame --framework {framework}` to find its "
            "hot functions, or name functions with --function"
        )
    rows = [line.split(":") for line in read_text_artifact(newest[0]).splitlines() if line]
    if not rows:
        raise UserError(
            f"no Python function of {framework} is hot: its time is spent in native code; "
            "name functions with --function"
        )
    return [(file, function) for file, function, _ in rows[:HOT]]


def _loaded_functions(names: Sequence[Name]) -> list[FunctionType]:
    """The loaded functions of these names. Raises UserError for a name that matches none."""
    loaded: list[FunctionType] = [o for o in gc.get_objects() if type(o) is FunctionType]
    functions = []
    for file, name in names:
        matching = [f for f in loaded if _has_name(f, name) and f.__code__.co_filename.endswith(file)]
        if not matching:
            raise UserError(f"no function {name} in a loaded file whose path ends with {file}")
        functions += matching
    return functions


def _has_name(function: FunctionType, name: str) -> bool:
    """Whether `name` is the function's plain name or, as in stacks, its qualified one (Class.method)."""
    return name in (function.__code__.co_name, function.__code__.co_qualname)


def _timed_functions(profiler: LineProfiler) -> list[Function]:
    """The timed functions, the slowest first."""
    stats = profiler.get_stats()
    functions = []
    for (file, _, name), timings in stats.timings.items():
        rows = [
            Line(number, hits, ticks * stats.unit, linecache.getline(file, number).strip())
            for number, hits, ticks in timings
        ]
        functions.append(Function(_below_packages(file), name, rows))
    return sorted(functions, key=lambda function: -function.seconds)


def _below_packages(file: str) -> str:
    """The path relative to the folder of installed packages, which differs from machine to machine."""
    parts = Path(file).parts
    last = max((i for i, part in enumerate(parts) if part in ("site-packages", "lib")), default=-1)
    return str(Path(*parts[last + 1 :]))

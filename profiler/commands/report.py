"""Write the report of stored runs: a page, pictures, summary.json and a CSV of the phases."""

import argparse
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from epoch_gap.profiler.commands.options import add_runs_dir
from epoch_gap.profiler.comparison.noise_floor import Floors
from epoch_gap.profiler.comparison.subject import incomparable, subject_id
from epoch_gap.profiler.drilldown.layers import LAYERS, OPERATORS, Drilldown
from epoch_gap.profiler.drilldown.layers import from_json as layers_of
from epoch_gap.profiler.drilldown.lines import FILE as LINES
from epoch_gap.profiler.drilldown.lines import from_json as functions_of
from epoch_gap.profiler.drilldown.matching import Found
from epoch_gap.profiler.drilldown.matching import contender as key_of
from epoch_gap.profiler.drilldown.stacks import COUNTS, TEXT, Stacks, from_text
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage import atomic as files
from epoch_gap.profiler.storage import store
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.report import FILES, SUMMARY, Report, render

DEFAULT_OUT = Path("reports/out")
HISTORY = "history.csv"
"""what tells a history's directory, which may be below a report's"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="default: the newest comparable run of each framework")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--svg", action="store_true", help="write the pictures as SVG besides")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Report on the named runs, or on the newest ones."""
    if args.runs:
        paths = list(dict.fromkeys(store.locate(name, args.runs_dir).resolve() for name in args.runs))
    else:
        paths = with_latest_others([], args.runs_dir)
    return write(paths, args.out, args.runs_dir, args.svg)


def write(paths: Sequence[Path], out: Path, runs_dir: Path, svg: bool = False) -> int:
    """Write the report, print its verdict and where it is. Raises UserError; then no file was touched."""
    runs = [store.read(path) for path in paths]
    report = render(runs, floors(runs_dir), drilldowns(runs, runs_dir), svg)
    put(report, out)
    print(report.view.verdict)
    print(report.view.floor)
    print(f"report: {out / report.page}")
    return 0


def put(report: Report, out: Path) -> None:
    """Write a report's files, in place of an earlier report's. Raises UserError; then no file was touched."""
    prepare(out)
    with writing(out):
        for name in FILES:
            content = report.files.get(name)
            if content is None:
                (out / name).unlink(missing_ok=True)  # what an earlier report left there
            else:
                files.replace(out / name, content)


def drilldowns(runs: Sequence[Run], runs_dir: Path) -> Found:
    """The drill-downs beside the runs."""
    contenders = {key_of(run.framework, str(run.manifest["framework"]["device"])) for run in runs}
    layers, operators = (_read_each(store.drilldowns(runs_dir, file), _layers) for file in (LAYERS, OPERATORS))

    def newest[T](verb: str, file: str, read: Callable[[Path], T]) -> dict[str, T]:
        paths = {name: store.drilldowns(runs_dir, file, f"{verb}-{name}-")[:1] for name in contenders}
        return {name: found for name, one in paths.items() for found in _read_each(one, read)}

    return Found(list(layers), list(operators), newest("lines", LINES, _lines), newest("flame", TEXT, _stacks))


def _read_each[T](paths: Iterable[Path], read: Callable[[Path], T]) -> Iterator[T]:
    """What the files hold; one that cannot be read is no reason to have no report."""
    for path in paths:
        try:
            yield read(path)
        except UserError as error:
            print(f"warning: {path} is left out: {error}", file=sys.stderr)


def _layers(path: Path) -> Drilldown:
    return layers_of(store.json_of(path))


def _lines(path: Path) -> Mapping[str, Any]:
    data: Mapping[str, Any] = store.json_of(path)
    functions_of(data)  # raises UserError for anything else
    return data


def _stacks(path: Path) -> Stacks:
    return from_text(store.text_of(path), store.json_of(path.with_name(COUNTS)))


def floors(runs_dir: Path) -> Floors:
    """The noise floors; a file of them that cannot be read is no reason to have no report."""
    try:
        return store.floors(runs_dir)
    except UserError as error:
        print(f"warning: {error}", file=sys.stderr)
        return {}


def prepare(out: Path) -> None:
    """Make the report's directory. Raises UserError where it cannot be, or holds what is not a report's."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in out.iterdir() if not _is_ours(path)]
        foreign = others and not (out / SUMMARY).is_file()
    if foreign:
        raise UserError(f"{out} holds {others[0]}, which is no report; choose an empty --out, or an earlier report's")


def prepare_for(out: Path, own: Collection[str]) -> None:
    """Make a directory for files of these names. Raises UserError where it cannot be, or holds any other file."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        others = sorted(path.name for path in out.iterdir() if path.name not in own)
    if others:
        raise UserError(f"{out} holds {others[0]}, which is none of {', '.join(sorted(own))}; choose an empty --out")


def _is_ours(folder: Path) -> bool:
    """Whether it holds a report or a history: a report may stand above others."""
    return any((folder / name).is_file() for name in (SUMMARY, HISTORY))


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """What cannot be written to `out` as one line."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror}; choose another --out") from None


def with_latest_others(paths: Sequence[Path], runs_dir: Path) -> list[Path]:
    """`paths`, and for each other framework (and label) its newest run with a step that is comparable to them.

    That run's repeats from the same session come along. Raises UserError where nothing is left.
    """
    chosen: dict[Path, Run] = {path: store.read(path) for path in paths}
    made = {_contender(run) for run in chosen.values()}
    passed_over: dict[tuple[str, str], Run] = {}
    for path in reversed(store.find(runs_dir)):
        run = _readable(path)
        if run is None or not len(run.train) or _contender(run) in made:
            continue
        if _joins(run, list(chosen.values())):
            chosen[path] = run
        else:
            passed_over.setdefault(_contender(run), run)
    if not chosen:
        raise UserError(f"no run with a training step in {runs_dir}; `make profile` makes some")
    shown = {_contender(run) for run in chosen.values()}
    for contender, run in passed_over.items():
        if contender not in shown:
            _say_left_out(run, list(chosen.values()))
    return sorted(chosen, key=lambda path: path.name)


def _say_left_out(run: Run, chosen: Sequence[Run]) -> None:
    """Say why a contender's newest run is not in the report: none of its runs is comparable."""
    reason = next(filter(None, (incomparable(other, run) for other in chosen)))
    print(
        f"left out: {run.id} ({reason}); repeat it with the same settings, or name the runs to report",
        file=sys.stderr,
    )


def _contender(run: Run) -> tuple[str, str]:
    return run.framework, run.manifest["config"]["label"]


def _joins(run: Run, chosen: Sequence[Run]) -> bool:
    """Whether `run` is comparable to all, and the first of its contender or a repeat of that one."""
    rivals = [other for other in chosen if _contender(other) == _contender(run)]
    repeats = run.manifest["session"] and all(
        other.manifest["session"] == run.manifest["session"] and subject_id(other) == subject_id(run)
        for other in rivals
    )
    return (not rivals or bool(repeats)) and not any(incomparable(other, run) for other in chosen)


def _readable(path: Path) -> Run | None:
    try:
        return store.read(path)
    except UserError as error:
        print(f"warning: left out: {error}", file=sys.stderr)
        return None

"""Write the report of stored runs: a page, pictures, summary.json and a CSV of the phases."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from profiler import store
from profiler.commands.options import add_runs_dir
from profiler.errors import UserError
from profiler.run import Run
from profiler.subject import incomparable, subject_id
from reports.render import FILES, render

DEFAULT_OUT = Path("reports/out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="default: the newest comparable run of each subject")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="DIR", help="default: %(default)s")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Report on the named runs, or on the newest ones."""
    if args.runs:
        paths = [store.locate(name, args.runs_dir) for name in args.runs]
    else:
        paths = with_latest_others([], args.runs_dir)
    return write(paths, args.out)


def write(paths: Sequence[Path], out: Path) -> int:
    """Write the report, print its verdict and where it is. Raises UserError; then no file was touched."""
    report = render([store.read(path) for path in paths])
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            _replace(out / name, report.files.get(name))
    except OSError as error:
        raise UserError(f"cannot write the report to {out}: {error.strerror}; choose another --out") from None
    print(report.view.verdict)
    print(f"report: {out / report.page}")
    return 0


def _replace(path: Path, content: bytes | None) -> None:
    """Put `content` at `path` in one step; None removes what an earlier report left there."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def with_latest_others(paths: Sequence[Path], runs_dir: Path) -> list[Path]:
    """`paths`, and for each other subject its newest run with at least one step, if comparable to the rest.

    A subject's repeats from the same session come along. Raises UserError where that leaves nothing.
    """
    chosen: dict[Path, Run] = {path: store.read(path) for path in paths}
    for path in reversed(store.find(runs_dir)):
        run = _readable(path)
        if run is not None and _belongs(run, list(chosen.values())):
            chosen.setdefault(path, run)
    if not chosen:
        raise UserError(f"no run with a training step in {runs_dir}; `make profile` makes some")
    return sorted(chosen, key=lambda path: path.name)


def _belongs(run: Run, chosen: Sequence[Run]) -> bool:
    same = [other for other in chosen if subject_id(other) == subject_id(run)]
    if any(other.id == run.id for other in same) or not len(run.train):
        return False
    if same and not (run.manifest["session"] and run.manifest["session"] == same[0].manifest["session"]):
        return False
    return not any(incomparable(other, run) for other in chosen)


def _readable(path: Path) -> Run | None:
    try:
        return store.read(path)
    except UserError:
        return None

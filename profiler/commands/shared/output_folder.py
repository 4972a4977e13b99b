"""Create and check output folders before anything is written, so that no other file is overwritten."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from epoch_gap.profiler.errors import UserError, os_errors_as_one_line
from epoch_gap.profiler.machine.folder_lock import hold_folder
from epoch_gap.profiler.parity.result import FILE as PARITY_JSON
from epoch_gap.profiler.storage.atomic import is_partial, write_atomically
from epoch_gap.reports.export.report_csv import HISTORY_CSV
from epoch_gap.reports.page.ranks_page import PICTURE as RANKS_PICTURE
from epoch_gap.reports.report import FILES, SUMMARY, Report
from epoch_gap.reports.scaling import SCALING_CSV

REPORTS = Path("reports/out")
"""the default folder of reports"""
HISTORIES = REPORTS / "history"
"""the default folder of histories"""
MATRICES = REPORTS / "matrix"
"""the default folder of matrices"""
RANKS = REPORTS / "ranks"
"""the default folder of distributed trainings"""
SCALING = REPORTS / "scaling"
"""the default folder of scaling measurements"""


def write_report(report: Report, out: Path) -> Path:
    """Write a report's files, replacing an earlier report's, and return the path of its page.

    Raises UserError before any file is written.
    """
    prepare_report_folder(out)
    write_files(out, {name: report.files.get(name) for name in FILES})
    return out / report.page


def write_files(out: Path, contents: Mapping[str, str | bytes | None]) -> None:
    """Write each file atomically; None removes an earlier one. Raises UserError.

    Two commands that write to one folder wait for each other, so that its files belong together.
    """
    with errors_as_one_line(out), hold_folder(out, is_optional=True):
        for name, content in contents.items():
            if content is None:
                (out / name).unlink(missing_ok=True)
            else:
                write_atomically(out / name, content)


def prepare_report_folder(out: Path) -> None:
    """Create the folder of a report. Raises UserError if that fails or the folder holds other files."""
    others = _other_files(out, _is_ours)
    if others and not (out / SUMMARY).is_file():
        problem = f"{out} contains {others[0]}, which is not part of a report"
        raise UserError(f"{problem}; choose an empty --out, or that of an earlier report")


def prepare_folder(out: Path, own: Collection[str]) -> None:
    """Create a folder for files named in `own`. Raises UserError if that fails or it holds any other file."""
    if others := _other_files(out, lambda path: path.name in own):
        raise UserError(f"{out} contains {others[0]}, which is not {' or '.join(sorted(own))}; choose an empty --out")


def _is_ours(folder: Path) -> bool:
    """Whether a folder holds what a command writes below a report by default; a report's folder may contain it."""
    return any((folder / name).is_file() for name in (SUMMARY, HISTORY_CSV, PARITY_JSON, RANKS_PICTURE, SCALING_CSV))


def errors_as_one_line(out: Path) -> AbstractContextManager[None]:
    """A context that turns an OSError into a UserError that names the folder."""
    return os_errors_as_one_line(f"cannot write to {out}", "choose another --out")


def _other_files(out: Path, is_own: Callable[[Path], bool]) -> list[str]:
    """Create the folder, and return the names of its files that are not the caller's, sorted. Raises UserError."""
    with errors_as_one_line(out):
        out.mkdir(parents=True, exist_ok=True)
        return sorted(path.name for path in out.iterdir() if not is_own(path) and not is_partial(path))

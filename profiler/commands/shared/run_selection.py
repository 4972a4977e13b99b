"""Select the runs that a report shows."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.comparison.complete_rounds import unfinished_rounds
from epoch_gap.profiler.comparison.identity import candidate_key, stands_alone, subject_id, why_different_tasks
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.manifest import Manifest, RunStatus
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloors, load_noise_floors
from epoch_gap.profiler.storage.qualification_store import Qualifications, load_qualifications
from epoch_gap.profiler.storage.reader import find_runs, read_header, read_run
from epoch_gap.profiler.storage.run import Run


def readable_noise_floors(runs_dir: Path) -> NoiseFloors:
    """The noise floors beside the runs; a damaged file only gives a warning, since reports work without them."""
    try:
        return load_noise_floors(runs_dir)
    except UserError as error:
        warn(str(error))
        return {}


def readable_qualifications(runs_dir: Path) -> Qualifications:
    """The gate's qualifications beside the runs; a damaged file only gives a warning, as above."""
    try:
        return load_qualifications(runs_dir)
    except UserError as error:
        warn(str(error))
        return {}


def add_latest_candidates(runs: Sequence[Run], runs_dir: Path) -> list[Run]:
    """`runs`, and the newest comparable run with a training step of every other candidate, oldest first.

    A candidate's repeats from the same session are included. Raises UserError if there is no run at all.
    """
    chosen = list(runs)
    fixed = {candidate_key(run.manifest) for run in runs}
    rejected: dict[tuple[object, ...], Run] = {}
    headers = {path: if_readable(read_header, path) for path in find_runs(runs_dir)}
    unfinished = unfinished_rounds(header for header in headers.values() if header is not None)
    for path, header in reversed(headers.items()):
        if header is not None and (header.id in unfinished or not stands_alone(header.manifest)):
            continue
        run = _read_or_warn(path)
        if run is None or not len(run.train) or candidate_key(run.manifest) in fixed:
            continue
        if _joins(run, chosen):
            chosen.append(run)
        else:
            rejected.setdefault(candidate_key(run.manifest), run)
    if not chosen:
        raise UserError(f"no run with a training step in {runs_dir}; run `make profile`")
    shown = {candidate_key(run.manifest) for run in chosen}
    for key, run in rejected.items():
        if key not in shown:
            _explain_rejection(run, chosen)
    return sorted(chosen, key=lambda run: run.path.name)


def newest_repeats(runs_dir: Path, fits: Callable[[Manifest], bool]) -> list[Run]:
    """The newest complete run whose manifest fits, with its repeats of the same session, oldest first; may be empty.

    Runs of a round that not every side completed do not count, nor do those that cannot be read.
    """
    headers = {path: header for path in find_runs(runs_dir) if (header := if_readable(read_header, path)) is not None}
    unfinished = unfinished_rounds(headers.values())
    chosen: list[Run] = []
    for path, header in reversed(headers.items()):
        if header.id in unfinished or header.status is not RunStatus.COMPLETE or not fits(header.manifest):
            continue
        if header.manifest.rank is not None:
            continue
        if header.training_steps > 1 and (not chosen or _repeats(header.manifest, chosen[0].manifest)):
            run = _read_or_warn(path)
            chosen += [] if run is None else [run]
    return chosen[::-1]


def _repeats(manifest: Manifest, other: Manifest) -> bool:
    return bool(manifest.session) and manifest.session == other.session and subject_id(manifest) == subject_id(other)


def _joins(run: Run, chosen: Sequence[Run]) -> bool:
    """Whether `run` is comparable to all, and is either the first of its candidate or a repeat of that run."""
    rivals = [other for other in chosen if candidate_key(other.manifest) == candidate_key(run.manifest)]
    is_repeat = bool(run.manifest.session) and all(
        other.manifest.session == run.manifest.session and subject_id(other.manifest) == subject_id(run.manifest)
        for other in rivals
    )
    return (not rivals or is_repeat) and not any(why_different_tasks(other, run) for other in chosen)


def _explain_rejection(run: Run, chosen: Sequence[Run]) -> None:
    reason = next(filter(None, (why_different_tasks(other, run) for other in chosen)))
    print(
        f"skipped: {run.id} ({reason}); repeat it with the same settings, or name the runs to report",
        file=sys.stderr,
    )


def if_readable[S, T](read: Callable[[S], T], source: S) -> T | None:
    """What `read` returns, or None if it raises UserError: whoever calls this warns elsewhere, or does without."""
    try:
        return read(source)
    except UserError:
        return None


def _read_or_warn(path: Path) -> Run | None:
    try:
        return read_run(path)
    except UserError as error:
        warn(f"skipped: {error}")
        return None

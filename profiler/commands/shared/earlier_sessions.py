"""Find the earlier sessions that tell how much processes of the shown subjects differ."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from epoch_gap.profiler.commands.shared.run_selection import if_readable
from epoch_gap.profiler.comparison.complete_rounds import unfinished_rounds
from epoch_gap.profiler.comparison.identity import alternates, series_key, subject_id
from epoch_gap.profiler.comparison.spread_history import KnownSpread
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.storage.manifest import Manifest, RunStatus
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloors
from epoch_gap.profiler.storage.reader import RunHeader, find_runs, read_header, read_run
from epoch_gap.profiler.storage.run import Run

MOST_SESSIONS = 8
"""The newest ones are read: more would hardly narrow an interval, and a machine changes with time."""


def find_known_spread(runs: Sequence[Run], runs_dir: Path, floors: NoiseFloors) -> KnownSpread:
    """The sessions stored beside `runs` that repeated their subjects under the same conditions, and the noise floor.

    A session with a run that cannot be read is skipped: this only narrows intervals.
    """
    return KnownSpread(tuple(tuple(group_runs(session)) for session in _earlier_sessions(runs, runs_dir)), floors)


def _earlier_sessions(runs: Sequence[Run], runs_dir: Path) -> list[list[Run]]:
    shown = {run.manifest.session for run in runs}
    keys = {_key(run.manifest) for run in runs}
    paths = find_runs(runs_dir)
    headers = {path: header for path in paths if (header := if_readable(read_header, path)) is not None}
    unfinished = unfinished_rounds(headers.values())
    sessions: dict[str, list[Path]] = defaultdict(list)
    for path, header in headers.items():
        session = header.manifest.session
        if session and session not in shown and header.id not in unfinished and _counts(header, keys):
            sessions[session].append(path)
    repeated = [of_session for of_session in sessions.values() if len(of_session) > 1][-MOST_SESSIONS:]
    return [read for of_session in repeated if (read := if_readable(_read_session, of_session)) is not None]


def _counts(header: RunHeader, keys: set[tuple[object, ...]]) -> bool:
    is_usable = header.status is RunStatus.COMPLETE and header.training_steps > 1 and not alternates(header.manifest)
    return is_usable and _key(header.manifest) in keys


def _key(manifest: Manifest) -> tuple[object, ...]:
    return subject_id(manifest), *series_key(manifest), manifest.config.preset


def _read_session(paths: Sequence[Path]) -> list[Run]:
    return [read_run(path) for path in sorted(paths)]

"""The rounds of a session that count: those that every side completed."""

from collections import defaultdict
from collections.abc import Iterable

from epoch_gap.profiler.storage.manifest import RunStatus
from epoch_gap.profiler.storage.reader import RunHeader


def unfinished_rounds(headers: Iterable[RunHeader]) -> set[str]:
    """The ids of runs whose round not every side completed, in sessions that have a complete round.

    Such runs end a session that was interrupted. Where no round is complete, its runs are all that there is.
    """
    rounds: dict[str, dict[int, list[RunHeader]]] = defaultdict(lambda: defaultdict(list))
    for header in headers:
        if header.manifest.round is not None:
            rounds[header.manifest.session][header.manifest.round].append(header)
    unfinished: set[str] = set()
    for session in rounds.values():
        incomplete = [of_round for of_round in session.values() if not is_complete(of_round)]
        if len(incomplete) < len(session):
            unfinished |= {header.id for of_round in incomplete for header in of_round}
    return unfinished


def is_complete(of_round: list[RunHeader]) -> bool:
    """Whether every side of the round's order has a completed run."""
    completed = [header for header in of_round if header.status is RunStatus.COMPLETE]
    return len(completed) == len(of_round[0].manifest.order)

"""How the processes of two subjects are compared: pair by pair if they alternated, otherwise as two groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from epoch_gap.profiler.analysis.stats import Estimate, difference, log_ratio, mean_of_processes
from epoch_gap.profiler.comparison.subject import Subject


@dataclass(frozen=True)
class Pairing:
    """How values of `slow`'s processes and of `fast`'s are compared; both have one value per process, in order."""

    is_paired: bool
    """whether the i-th process of one side ran beside the i-th of the other"""

    def difference(self, slow: Sequence[Estimate], fast: Sequence[Estimate]) -> Estimate:
        """The mean of slow - fast over pairs, or the difference of the two means."""
        if self.is_paired:
            return mean_of_processes(a.value - b.value for a, b in zip(slow, fast, strict=True))
        return difference(pool(slow), pool(fast))

    def log_ratio(self, slow: Sequence[Estimate], fast: Sequence[Estimate]) -> Estimate:
        """The mean of ln(slow / fast) over pairs, or the log ratio of the two means with its first-order variance."""
        if self.is_paired:
            return mean_of_processes(math.log(a.value / b.value) for a, b in zip(slow, fast, strict=True))
        return log_ratio(pool(slow), pool(fast))


def pair_processes(slow: Subject, fast: Subject) -> Pairing:
    """Paired if at least two processes of each alternated in one session."""
    return Pairing(len(slow.runs) == len(fast.runs) >= 2 and _session(slow) == _session(fast) is not None)


def pool(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over processes; a single process keeps what it knows about itself."""
    return estimates[0] if len(estimates) == 1 else mean_of_processes(e.value for e in estimates)


def _session(subject: Subject) -> str | None:
    """The one session in which the subject's runs alternated with others', or None."""
    sessions = {run.manifest.session for run in subject.runs}
    return sessions.pop() or None if len(sessions) == 1 else None

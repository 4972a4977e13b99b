"""How the processes of two subjects are compared: round by round if they alternated, otherwise as two groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from epoch_gap.profiler.analysis.stats import Estimate, difference, log_ratio, mean_of_processes
from epoch_gap.profiler.comparison.spread import Basis, Variance, mean_of_rounds, variance_of_one, widen
from epoch_gap.profiler.comparison.subject import Subject

Values = Sequence[Estimate]
"""one value per process of a subject, in order"""


@dataclass(frozen=True)
class Pairing:
    """How values of `slow`'s processes and of `fast`'s are compared; both have one value per process, in order.

    `earlier` are the same values of earlier sessions of both subjects; their spread is pooled with this one's.
    """

    is_paired: bool
    """whether the i-th process of one side and the i-th of the other are of one round"""

    def difference(self, slow: Values, fast: Values, earlier: Sequence[tuple[Values, Values]] = ()) -> Estimate:
        """The mean of slow - fast over rounds, or the difference of the two means.

        Two single processes are compared by what each knows about itself.
        """
        if not self.is_paired:
            return difference(pool(slow), pool(fast))
        sessions = [[a.value - b.value for a, b in zip(*sides, strict=True)] for sides in earlier]
        values = [a.value - b.value for a, b in zip(slow, fast, strict=True)]
        return mean_of_rounds(values, sessions)[0]

    def log_ratio(
        self,
        slow: Values,
        fast: Values,
        earlier: Sequence[tuple[Values, Values]] = (),
        floor: Variance | None = None,
    ) -> tuple[Estimate, Basis | None]:
        """ln(slow / fast), and what its spread rests on: the mean over rounds, or the log ratio of the two means.

        For two single processes, the spread between processes is that of `earlier` sessions, or else that of the
        noise `floor`. Without either, and with several processes of only one side, it is unknown (dof 0, basis None).
        """
        if self.is_paired:
            sessions = [[math.log(a.value / b.value) for a, b in zip(*sides, strict=True)] for sides in earlier]
            return mean_of_rounds([math.log(a.value / b.value) for a, b in zip(slow, fast, strict=True)], sessions)
        whole, repeats = log_ratio(pool(slow), pool(fast)), min(len(slow), len(fast))
        if repeats > 1:
            return whole, Basis(repeats)
        if len(slow) != len(fast):
            return Estimate(whole.value, 0.0, 0.0), None
        return widen(whole, variance_of_one(*([_logs(sides[i]) for sides in earlier] for i in range(2))) or floor)


def _logs(values: Values) -> list[float]:
    return [math.log(value.value) for value in values]


def pair_processes(slow: Subject, fast: Subject) -> Pairing:
    """Paired if at least two processes of each alternated in one session."""
    return Pairing(len(slow.runs) == len(fast.runs) >= 2 and _session(slow) == _session(fast) is not None)


def pool(estimates: Values) -> Estimate:
    """The mean over processes; a single process keeps what it knows about itself."""
    return estimates[0] if len(estimates) == 1 else mean_of_processes(e.value for e in estimates)


def _session(subject: Subject) -> str | None:
    """The one session in which the subject's runs alternated with others', or None."""
    sessions = {run.manifest.session for run in subject.runs}
    return sessions.pop() or None if len(sessions) == 1 else None

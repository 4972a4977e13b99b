"""What is known of the spread between processes before a comparison: earlier sessions, and the noise floor."""

from dataclasses import dataclass

from epoch_gap.profiler.analysis.stats import LEVEL, t_quantile
from epoch_gap.profiler.comparison.spread import Basis, Variance
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor


@dataclass(frozen=True)
class KnownSpread:
    """Earlier sessions on the same machine, and the spread that its noise floor was computed from."""

    sessions: tuple[tuple[Subject, ...], ...] = ()
    """the subjects of each session, with complete rounds only"""
    floor: Variance | None = None
    """of the log ratio of two single processes"""

    def of_pair(self, slow: Subject, fast: Subject) -> list[tuple[Subject, Subject]]:
        """Both subjects in each earlier session that has both, by id."""
        pairs = []
        for session in self.sessions:
            by_id = {subject.id: subject for subject in session}
            if slow.id in by_id and fast.id in by_id:
                pairs.append((by_id[slow.id], by_id[fast.id]))
        return pairs

    def fenced(self) -> "KnownSpread":
        """The same from fenced steps; without the sessions in which a subject has none."""
        fenced = ([subject.fenced for subject in session] for session in self.sessions)
        whole = (tuple(s for s in session if s is not None) for session in fenced if None not in session)
        return KnownSpread(tuple(whole), self.floor)


NOTHING_KNOWN = KnownSpread()


def variance_of_floor(floor: NoiseFloor) -> Variance:
    """The variance of the log ratio of one pair of processes, from half the interval over all pairs.

    That is Student's: share = t s / sqrt(n) for n pairs.
    """
    pairs = floor.processes // 2
    deviation = floor.share * pairs**0.5 / t_quantile(0.5 + LEVEL / 2, pairs - 1)
    return Variance(deviation**2, pairs - 1, Basis(1, from_noise_floor=True))

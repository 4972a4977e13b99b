"""What is known of the spread between processes before a comparison: earlier sessions, and the noise floor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from epoch_gap.profiler.analysis.stats import LEVEL, t_quantile
from epoch_gap.profiler.comparison.identity import comparison_key, machine_key
from epoch_gap.profiler.comparison.spread import Basis, Variance
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor, NoiseFloors
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class KnownSpread:
    """Earlier sessions on the same machine, and the noise floors that were measured."""

    sessions: tuple[tuple[Subject, ...], ...] = ()
    """the subjects of each session, with complete rounds only"""
    floors: NoiseFloors = field(default_factory=dict)

    def of_pair(self, slow: Subject, fast: Subject) -> list[tuple[Subject, Subject]]:
        """Both subjects in each earlier session that has both, by id."""
        pairs = []
        for session in self.sessions:
            by_id = {subject.id: subject for subject in session}
            if slow.id in by_id and fast.id in by_id:
                pairs.append((by_id[slow.id], by_id[fast.id]))
        return pairs

    def floor_of(self, *subjects: Subject) -> NoiseFloor | None:
        """The largest noise floor that applies to the subjects; None if one of their machines has none."""
        return applicable_floor(self.floors, [run for subject in subjects for run in subject.runs])

    def fenced(self) -> "KnownSpread":
        """The same from fenced steps; without the sessions in which a subject has none."""
        fenced = ([subject.fenced for subject in session] for session in self.sessions)
        whole = (tuple(s for s in session if s is not None) for session in fenced if None not in session)
        return KnownSpread(tuple(whole), self.floors)


NOTHING_KNOWN = KnownSpread()


def applicable_floor(floors: NoiseFloors, runs: Sequence[Run]) -> NoiseFloor | None:
    """The largest floor that applies to `runs` on their machines; None if one of the machines has no floor."""
    applicable: list[NoiseFloor] = []
    for machine in {machine_key(run.manifest) for run in runs}:
        known = floors.get(machine, {})
        on_machine = [floor for run in runs if (floor := _floor_of(known, run)) is not None]
        if not on_machine:
            return None
        applicable += on_machine
    return max(applicable, key=lambda floor: floor.share, default=None)


def _floor_of(known: Mapping[str, NoiseFloor], run: Run) -> NoiseFloor | None:
    """The floor of the run's comparison on a machine, without its interventions if none was measured with them."""
    manifest = run.manifest
    return known.get(comparison_key(manifest)) or known.get(comparison_key(manifest, is_plain=True))


def variance_of_floor(floor: NoiseFloor | None) -> Variance | None:
    """The variance of the log ratio of one pair of processes, from half the interval over all pairs.

    That is Student's: share = t s / sqrt(n) for n pairs. None without a floor of at least two pairs.
    """
    if floor is None or floor.processes < 4:
        return None
    pairs = floor.processes // 2
    deviation = floor.share * pairs**0.5 / t_quantile(0.5 + LEVEL / 2, pairs - 1)
    return Variance(deviation**2, pairs - 1, Basis(1, from_noise_floor=True))

"""What the two ledgers say together: what fences cost, and whose work was charged to whom."""

from dataclasses import dataclass

from epoch_gap.profiler.analysis.epoch import NS, steady_steps
from epoch_gap.profiler.analysis.stats import Estimate, Interval, between, difference, log_ratio, mean, ratio
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import Ledger
from epoch_gap.profiler.storage.run import Run

HARMLESS = (0.95, 1.05)
"""A fenced step within these multiples of an as-run one shows where the work of an as-run step is done."""
LEAST_MOVE = 0.01
"""of a step: smaller moves are not told from noise"""


@dataclass(frozen=True)
class Move:
    """Work of `worker` that the clock charged to `payer`, seconds per step."""

    worker: Phase
    payer: Phase
    seconds: float


def perturbation(subject: Subject) -> Interval | None:
    """A fenced step's time over an as-run step's; None where there is no fenced step."""
    if subject.fenced is None:
        return None
    logs = [_log_ratio(run) for run in subject.runs]
    return ratio(logs[0] if len(logs) == 1 else between(log.value for log in logs))


def is_harmless(shift: Interval) -> bool:
    """Whether fences leave the step's time as it is, as far as can be told."""
    low, high = HARMLESS
    return low <= shift.value <= high


def differences(subject: Subject) -> dict[Phase, Estimate]:
    """Fenced minus as-run seconds per step: positive where a phase does more work than it is charged for."""
    runs = [_per_step(run) for run in subject.runs]
    phases = runs[0].keys()
    return {p: runs[0][p] if len(runs) == 1 else between(run[p].value for run in runs) for p in phases}


def moves(subject: Subject) -> list[Move]:
    """Whose work is charged to whom, the largest first: each payer pays for the phases before it."""
    step = _mean_step(subject)
    clear = {
        p: e.value
        for p, e in differences(subject).items()
        if e.interval().excludes(0) and abs(e.value) >= LEAST_MOVE * step
    }
    owed = {p: seconds for p, seconds in clear.items() if seconds > 0}
    found = []
    for payer, paid in ((p, -seconds) for p, seconds in clear.items() if seconds < 0):
        for worker in [p for p in owed if _ORDER.index(p) < _ORDER.index(payer)]:
            part = min(paid, owed[worker])
            paid -= part
            owed[worker] -= part
            if part >= LEAST_MOVE * step:
                found.append(Move(worker, payer, part))
    return sorted(found, key=lambda move: -move.seconds)


_ORDER = list(Phase)


def _per_step(run: Run) -> dict[Phase, Estimate]:
    asrun, fenced = (steady_steps(run, ledger).phase_ns for ledger in Ledger)
    return {p: difference(mean(fenced[p] * NS), mean(asrun[p] * NS)) for p in asrun}


def _log_ratio(run: Run) -> Estimate:
    asrun, fenced = (mean(steady_steps(run, ledger).wall_ns * NS) for ledger in Ledger)
    return log_ratio(fenced, asrun)


def _mean_step(subject: Subject) -> float:
    return float(steady_steps(subject.first).wall_ns.mean()) * NS

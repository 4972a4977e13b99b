"""The gate's rates on this machine, for the terminal: by planted slowdown and by allowance."""

from collections.abc import Iterator, Sequence

from epoch_gap.profiler.analysis.stats import Interval
from epoch_gap.profiler.comparison.qualification import measure_rates
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloor
from epoch_gap.profiler.storage.qualification_store import Qualification, Trial
from epoch_gap.reports import formats
from epoch_gap.reports.sentences.gate import describe_qualification
from epoch_gap.reports.sentences.verdict import describe_noise_floor
from epoch_gap.reports.terminal.tables import align

ALLOWANCES = (0.0, 0.02, 0.05)
"""shares"""
ALONE = "Each comparison is judged by its own rounds alone; no two share a process. Intervals are 95 %, binomial."


def qualification_table(qualification: Qualification, floor: NoiseFloor | None) -> str:
    """How often the gate failed, with what was planted in fact, and the sentence that `compare` prints."""
    share = None if floor is None else floor.share
    q = qualification
    return "\n".join(
        [
            f"{q.framework} {q.version} ({', '.join([q.device, *q.network.settings])}), batch {q.batch_size}, "
            f"{q.data}: {q.rounds} rounds, "
            f"about {q.steps} steps per process, slowed down in {q.phase}",
            "",
            align(list(_rows(q, share)), left=1),
            "",
            ALONE,
            describe_noise_floor(floor),
            describe_qualification(q, ALLOWANCES[1], share),
        ]
    )


def _rows(q: Qualification, floor: float | None) -> Iterator[Sequence[str]]:
    rates = [measure_rates(q, allowed, floor) for allowed in ALLOWANCES]
    heads = (f"failed, {formats.percent(allowed)} allowed" for allowed in ALLOWANCES)
    yield ["slowdown", "planted", "half the interval", *heads]
    for by_allowance in zip(*rates, strict=True):
        slowdown = by_allowance[0].slowdown
        trials = [trial for trial in q.trials if trial.slowdown == slowdown]
        counts = (f"{rate.failed} of {rate.trials} ({_within(rate.share)})" for rate in by_allowance)
        yield [formats.percent(slowdown) if slowdown else "none", _planted(trials), _half_width(trials), *counts]


def _planted(trials: Sequence[Trial]) -> str:
    """The range of the shares that were planted in fact: the machine's speed changes."""
    low, high = (formats.percent(edge(trial.planted for trial in trials)) for edge in (min, max))
    return "" if not trials[0].slowdown else low if low == high else f"{low} to {high}"


def _half_width(trials: Sequence[Trial]) -> str:
    """The median over comparisons, as a share of the ratio; `?` if it is unknown in all of them."""
    known = sorted((t.high - t.low) / 2 / t.ratio for t in trials if t.low is not None and t.high is not None)
    return formats.percent(known[len(known) // 2]) if known else "?"


def _within(share: Interval) -> str:
    return formats.within_percent(share.low, share.high)

"""The noise floor: what a comparison of a framework with itself says on this machine.

Half of such a comparison's 95 % interval is the smallest effect that the machine lets one claim, whatever the
interval of another comparison says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from profiler.compare import Gap
from profiler.errors import UserError
from profiler.run import Run


@dataclass(frozen=True)
class Floor:
    """One A-against-A comparison."""

    framework: str
    """the registry's name"""
    device: str
    share: float
    """half the interval of the ratio: the floor"""
    ratio: float
    verdict: str
    processes: int
    day: str
    """of its first run"""


def floor(gap: Gap) -> Floor:
    """The floor that an A-against-A comparison found. Raises UserError where its interval is unknown."""
    low, high = gap.ratio.low, gap.ratio.high
    if low is None or high is None:
        raise UserError("the interval of A against A is unknown; take at least two pairs of processes")
    runs = [*gap.slow.runs, *gap.fast.runs]
    first = min(runs, key=lambda run: run.id)
    return Floor(
        framework=first.framework,
        device=first.manifest["framework"]["device"],
        share=(high - low) / 2,
        ratio=gap.ratio.value,
        verdict=gap.verdict,
        processes=len(runs),
        day=first.manifest["created"][:10],
    )


def machine_key(run: Run) -> str:
    """What makes two runs' machines the same, as far as the store knows."""
    machine = run.manifest["environment"]["machine"]
    names = ("cpu", "arch", "cores_usable", "memory_bytes", "cgroup_cpu_max")
    return ", ".join(str(machine.get(name)) for name in names) + f", {str(machine.get('system')).split()[0]}"


Floors = Mapping[str, Mapping[str, Floor]]
"""by machine, then by framework and device: the newest of each"""


def applying(floors: Floors, runs: Sequence[Run]) -> Floor | None:
    """The largest floor known for the machines of `runs`; None where one of them has none."""
    found: list[Floor] = []
    for key in {machine_key(run) for run in runs}:
        if not floors.get(key):
            return None
        found += floors[key].values()
    return max(found, key=lambda f: f.share) if found else None


def contender(f: Floor) -> str:
    """The key of a floor among those of its machine."""
    return f"{f.framework}-{f.device}"


def from_json(data: Any) -> Floors:
    """What `to_json` made. Raises UserError for anything else."""
    try:
        return {key: {name: Floor(**f) for name, f in machine.items()} for key, machine in data.items()}
    except (AttributeError, TypeError):
        raise UserError(
            "the file of noise floors holds something else; remove it and run `make noise` again"
        ) from None

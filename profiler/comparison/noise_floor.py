"""The noise floor: what a comparison of a framework with itself says on this machine.

Half of such a comparison's 95 % interval is the smallest effect that the machine lets one claim, whatever the
interval of another comparison says.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epoch_gap.profiler.comparison.gap import Gap
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.run import Run


@dataclass(frozen=True)
class Floor:
    """One A-against-A comparison."""

    framework: str
    """the registry's name"""
    device: str
    batch_size: int
    data: str
    """cifar10 | synthetic"""
    share: float
    """the floor: half the interval of the ratio, or the ratio's distance from 1 where that is more"""
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
        batch_size=first.batch_size,
        data=first.manifest["data"]["kind"],
        share=max((high - low) / 2, abs(gap.ratio.value - 1)),
        ratio=gap.ratio.value,
        verdict=gap.verdict,
        processes=len(runs),
        day=first.manifest["created"][:10],
    )


def machine_key(run: Run) -> str:
    """What makes two runs' machines the same, as far as the store knows."""
    machine = run.manifest["environment"]["machine"]
    limit = str(machine.get("cgroup_cpu_max"))
    parts = [str(machine.get(name)) for name in ("cpu", "arch", "cores_usable", "memory_bytes")]
    parts += [str(machine.get("system")).split()[0], limit if limit[:1].isdigit() else "no CPU limit"]
    return ", ".join(parts)


Floors = Mapping[str, Mapping[str, Floor]]
"""by machine, then by what was compared with itself: the newest of each"""


def applying(floors: Floors, runs: Sequence[Run]) -> Floor | None:
    """The largest floor of what `runs` are, measured on their machines; None where one machine has none."""
    compared = {_contender(run) for run in runs}
    found: list[Floor] = []
    for machine in {machine_key(run) for run in runs}:
        here = [f for name, f in floors.get(machine, {}).items() if name in compared]
        if not here:
            return None
        found += here
    return max(found, key=lambda f: f.share, default=None)


def contender(f: Floor) -> str:
    """The key of a floor among those of its machine."""
    return f"{f.framework}-{f.device}-batch-{f.batch_size}-{f.data}"


def _contender(run: Run) -> str:
    device, data = run.manifest["framework"]["device"], run.manifest["data"]["kind"]
    return f"{run.framework}-{device}-batch-{run.batch_size}-{data}"


def from_json(data: Any) -> Floors:
    """Floors from the JSON of `dataclasses.asdict`. Raises ValueError for anything else."""
    try:
        found = {key: {name: Floor(**f) for name, f in machine.items()} for key, machine in data.items()}
        for here in found.values():
            for f in here.values():
                if not (math.isfinite(f.share) and math.isfinite(f.ratio)):
                    raise ValueError("a floor that is not finite")
    except (AttributeError, TypeError):
        raise ValueError("it holds no noise floors of this version") from None
    return found

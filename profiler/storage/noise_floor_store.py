"""Noise floors as stored: `noise.json` beside the runs, the newest floor per machine and comparison."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.atomic import write_atomically
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, Network

NOISE_JSON = "noise.json"


@dataclass(frozen=True)
class NoiseFloor:
    """The result of one comparison of a framework with itself."""

    framework: str
    """the registry's name"""
    device: str
    batch_size: int
    data: str
    """cifar10 | synthetic"""
    share: float
    """half the interval of the ratio, or the distance of the ratio from 1 if that is larger"""
    ratio: float
    verdict: str
    processes: int
    day: str
    """date of the first run"""
    keeps_memory: bool = False
    """whether the allocator kept freed memory"""
    model: str = DEFAULT_NETWORK.model
    image_size: int = DEFAULT_NETWORK.image_size
    switches: Sequence[str] = ()
    """the interventions that were on"""

    @property
    def key(self) -> str:
        """Identifies the comparison among those of one machine."""
        return noise_floor_key(
            self.framework,
            self.device,
            self.batch_size,
            self.data,
            self.keeps_memory,
            self.network,
            self.switches,
        )

    @property
    def network(self) -> Network:
        """The network that was trained, and the size of its images."""
        return Network(self.model, self.image_size)


NoiseFloors = Mapping[str, Mapping[str, NoiseFloor]]
"""by machine, then by `NoiseFloor.key`"""


def noise_floor_key(
    framework: str,
    device: str,
    batch_size: int,
    data: str,
    keeps_memory: bool,
    network: Network,
    switches: Sequence[str] = (),
) -> str:
    """Identifies a comparison of a framework with itself, by its conditions."""
    kept = ["memory-kept"] if keeps_memory else []
    return "-".join([framework, device, "batch", str(batch_size), data, *kept, *network.settings, *switches])


def load_noise_floors(runs_dir: Path) -> NoiseFloors:
    """The noise floors stored beside these runs. Raises UserError if the file is damaged."""
    path = runs_dir / NOISE_JSON
    try:
        return _floors_from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}; remove it and run `make noise` again") from None


def save_noise_floor(runs_dir: Path, machine: str, floor: NoiseFloor) -> None:
    """Store a machine's noise floor, replacing an earlier one of the same comparison."""
    known = {key: dict(floors) for key, floors in load_noise_floors(runs_dir).items()}
    known.setdefault(machine, {})[floor.key] = floor
    data = {key: {name: asdict(f) for name, f in floors.items()} for key, floors in known.items()}
    write_atomically(runs_dir / NOISE_JSON, json.dumps(data, indent=1) + "\n")


def _floors_from_json(data: Any) -> NoiseFloors:
    """Raises ValueError for anything that `save_noise_floor` did not write."""
    try:
        floors = {key: {name: _floor(**f) for name, f in machine.items()} for key, machine in data.items()}
        if not all(math.isfinite(f.share + f.ratio) for machine in floors.values() for f in machine.values()):
            raise ValueError("a floor is not finite")
    except (AttributeError, TypeError):
        raise ValueError("its noise floors are not in this version's format") from None
    return floors


def _floor(switches: Sequence[str] = (), **values: Any) -> NoiseFloor:
    """A floor from its JSON values; those of older versions have no `switches`."""
    return NoiseFloor(**values, switches=tuple(switches))

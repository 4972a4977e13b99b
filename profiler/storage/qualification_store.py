"""The gate's qualifications as stored: `qualification.json` beside the runs, the newest per machine and workload."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.artifacts import read_json_artifact
from epoch_gap.profiler.storage.atomic import write_atomically
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, Network
from epoch_gap.profiler.storage.noise_floor_store import noise_floor_key

QUALIFICATION_JSON = "qualification.json"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One comparison of a training with itself, slowed down on one side, judged by its own rounds alone."""

    slowdown: float
    """the share of an epoch that was to be planted; 0: a switch that does nothing"""
    planted: float
    """the same as a share of the epoch that the plain side took in this comparison"""
    ratio: float
    """of the slowed side over the plain one"""
    low: float | None
    """95 %; null: unknown"""
    high: float | None
    is_difference_clear: bool
    """whether the interval of the difference in seconds excludes 0"""


@dataclass(frozen=True, kw_only=True)
class Qualification:
    """Comparisons whose truth is known, under the conditions of one workload."""

    framework: str
    """the registry's name"""
    version: str
    device: str
    batch_size: int
    data: str
    """cifar10 | synthetic"""
    keeps_memory: bool = False
    model: str = DEFAULT_NETWORK.model
    image_size: int = DEFAULT_NETWORK.image_size
    phase: str
    """where the slowdown was planted"""
    rounds: int
    """of a comparison, with one process per side"""
    steps: int
    """training steps of a process, the median"""
    day: str
    """date of the first run"""
    trials: tuple[Trial, ...]

    @property
    def network(self) -> Network:
        """The network that was trained, and the size of its images."""
        return Network(self.model, self.image_size)

    @property
    def key(self) -> str:
        """Identifies the workload among those of one machine; that of its noise floor."""
        return noise_floor_key(
            self.framework, self.device, self.batch_size, self.data, self.keeps_memory, self.network
        )


Qualifications = Mapping[str, Mapping[str, Qualification]]
"""by machine, then by `Qualification.key`"""


def load_qualifications(runs_dir: Path) -> Qualifications:
    """The qualifications stored beside these runs. Raises UserError if the file is damaged."""
    path = runs_dir / QUALIFICATION_JSON
    if not path.exists():
        return {}
    try:
        return msgspec.convert(read_json_artifact(path), dict[str, dict[str, Qualification]])
    except msgspec.ValidationError as error:
        raise UserError(f"{path} cannot be read: {error}; remove it and run `qualify` again") from None


def save_qualification(runs_dir: Path, machine: str, qualification: Qualification) -> None:
    """Store a machine's qualification, replacing an earlier one of the same workload."""
    known: dict[str, dict[str, Any]] = {
        of_machine: {key: asdict(one) for key, one in stored.items()}
        for of_machine, stored in load_qualifications(runs_dir).items()
    }
    known.setdefault(machine, {})[qualification.key] = asdict(qualification)
    write_atomically(runs_dir / QUALIFICATION_JSON, json.dumps(known, indent=1, allow_nan=False) + "\n")

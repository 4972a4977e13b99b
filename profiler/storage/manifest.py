"""The manifest of a run: its settings, framework, data and conditions, typed. Only this module knows its JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.allocator import Allocator
from epoch_gap.profiler.machine.environment import Environment
from epoch_gap.profiler.machine.rank import Rank
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.storage.typed_json import convert_json


class RunStatus(StrEnum):
    """Whether a run is still in progress, or how it ended."""

    RUNNING = "running"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class DataKind(StrEnum):
    """The source of the images; the values are stored."""

    CIFAR10 = "cifar10"
    SYNTHETIC = "synthetic"
    CUSTOM = "own"
    """the data of a custom training loop"""


@dataclass(frozen=True, kw_only=True)
class Alternation:
    """Interventions that were turned on and off within a run, in blocks of training steps."""

    levels: tuple[tuple[str, ...], ...]
    """the switches of each level, at least two levels; the first is off"""
    block: int
    """steps of one level before the next one's turn"""
    seed: int = 0
    """of the order of more than two levels"""
    evaluation: bool = False
    """whether the interventions that change an evaluation alternated in it, too: a test batch has the level of the
    training step with its index"""


@dataclass(frozen=True)
class Network:
    """The network that a built-in workload trains, and the size of its images."""

    model: str = "resnet18"
    """its name, as in `--model`"""
    image_size: int = 32
    """rows and columns, in pixels"""

    @classmethod
    def from_stored(cls, model: str | None, image_size: int | None) -> "Network":
        """A network as stored; None stands for the article's."""
        return cls(model or cls.model, image_size or cls.image_size)

    @property
    def settings(self) -> list[str]:
        """What is not as in the article, in words: `resnet50`, `224x224`."""
        settings = [self.model] if self.model != Network.model else []
        if self.image_size != Network.image_size:
            settings.append(f"{self.image_size}x{self.image_size}")
        return settings


DEFAULT_NETWORK = Network()
"""the article's"""
NETWORK_FIELDS = tuple(f.name for f in fields(Network))
"""the names under which a run, a session and a summary store it"""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of a run, as requested. None: the built-in default, or not a setting of that kind of run."""

    framework: str
    """the registry's name, or a custom loop's own"""
    batch_size: int
    label: str = ""
    preset: str
    fence: str | None = None
    """none | alternate | all"""
    seed: int | None = None
    checkpoint: bool | None = None
    mmap: bool | None = None
    compile: bool | None = None
    allocator: Allocator | None = None
    """what becomes of freed memory; None: the default, in older runs and custom loops"""
    epochs: int | None = None
    steps: int | None = None
    """training steps per epoch, at most"""
    seconds: float | None = None
    """training seconds per epoch, at most"""
    share: float | None = None
    """training stops once its 95 % interval is within this share"""
    train_limit: int | None = None
    test_limit: int | None = None
    data_order: str | None = None
    """framework | shared: who draws the order of the training images; None: the framework"""
    switches: tuple[str, ...] | None = None
    """the interventions that were on, `NAME`, `NAME=DOSE` or `NAME:PHASE=DOSE`; None: none, in older runs"""
    alternate: Alternation | None = None
    """the interventions that alternated; None: none, in all runs but those of experiments"""
    model: str | None = None
    """the network; None: resnet18, in older runs, or not known, in custom loops"""
    image_size: int | None = None
    """rows and columns of an image; None: 32, in older runs, or not known, in custom loops"""

    @property
    def network(self) -> Network:
        """The network and the size of its images."""
        return Network.from_stored(self.model, self.image_size)


def exact_version(version: str, commit: str | None) -> str:
    """A version, with the commit as its local segment if there is one: `2.16.0+v2.16.0-3-g0123456789`."""
    if commit is None:
        return version
    return f"{version}{'.' if '+' in version else '+'}{commit}"


@dataclass(frozen=True, kw_only=True)
class FrameworkInfo:
    """The framework and device that were measured."""

    name: str
    """the registry's name, or a custom loop's own"""
    title: str
    """the display name"""
    version: str
    device: str
    phases: tuple[str, ...]
    """the phases that the framework has; any other phase reads n/a"""
    clocks: Mapping[str, str] = field(default_factory=dict)
    """what each phase's clock timed, in the framework's own calls; empty in older runs"""
    installed_commit: str | None = None
    """the commit of an install that is no release, see `environment.read_commit`; None: a release, or unknown"""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """conditions that only the framework knows: dtype, layout, threads, schedule, ..."""

    @property
    def exact_version(self) -> str:
        """The version, with the commit of an install that is no release as its local segment (PEP 440)."""
        return exact_version(self.version, self.installed_commit)

    @property
    def own_phases(self) -> list[Phase]:
        """The phases that only this training loop has, in the order in which it declared them."""
        return [phase for phase in map(Phase, self.phases) if phase.is_own]


@dataclass(frozen=True, kw_only=True)
class DataInfo:
    """The images that a run trained and evaluated on."""

    kind: DataKind
    source: str
    sha256: str | None = None
    """None: never computed (custom training loops)"""
    train_images: int
    test_images: int

    @property
    def name(self) -> str:
        """The kind, or a custom loop's name for its data. See `title` for display."""
        return self.source if self.kind is DataKind.CUSTOM else str(self.kind)

    @property
    def title(self) -> str:
        """The display name; the name of a custom loop's data is shown as given, even if it is `synthetic`."""
        return {DataKind.CIFAR10: "CIFAR-10", DataKind.SYNTHETIC: "SYNTHETIC DATA"}.get(self.kind, self.source)


STREAM = 1000
"""The images that the figures of a stream are per."""


@dataclass(frozen=True, kw_only=True)
class EpochSize:
    """What the figures of a run are per: one full epoch, or `STREAM` images of a stream that has no length."""

    train_images: int
    test_images: int
    unit: str = "images"
    """what all sizes count"""
    is_stream: bool = False
    """whether training has no length: `train_images` are `STREAM`, and `test_images` 0"""

    @property
    def span(self) -> str:
        """What seconds are per."""
        return f"{self.train_images} {self.unit}" if self.is_stream else "epoch"

    @property
    def whole(self) -> str:
        """What shares are of."""
        return "time" if self.is_stream else "epoch"

    @property
    def description(self) -> str:
        """The sizes."""
        return self.span if self.is_stream else f"{self.train_images} + {self.test_images} {self.unit}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything about a run except its measurements."""

    config: Config
    framework: FrameworkInfo
    data: DataInfo
    full_epoch: EpochSize
    environment: Environment
    mark_cost_ns: float
    usage_cost_ns: float | None = None
    """the cost of one reading of the resource usage, of which a step needs two; None: not read"""
    id: str = ""
    """the name of the run's directory when it was created: copies and links are the same run. Empty in older runs"""
    seals: int | None = None
    """the number of seals of a finished run; see seals.py"""
    recovered_from: str | None = None
    """the id of the damaged run whose intact part this is"""
    session: str = ""
    """shared by the runs of one `profile` command; empty for a single run"""
    order: tuple[str, ...] = ()
    """the session's frameworks in run order, fixed before its first run; with rounds, of this round"""
    turn: int = 1
    """this run's position in `order`, from 1"""
    cell: str | None = None
    """the id of the cell of a matrix to which the run belongs; None: none"""
    round: int | None = None
    """the round of the session to which the run belongs, from 1; None without rounds"""
    rank: Rank | None = None
    """the process's place in a distributed training; None: it trained alone"""
    progress: str | None = None
    """the progress bar's destination: terminal | lines | discarded"""
    created: str = ""
    """UTC, ISO 8601"""
    finished: str | None = None
    stopped: str | None = None
    """the reason why training ended"""
    peak_rss_bytes: int | None = None
    status: RunStatus = RunStatus.RUNNING
    as_stored: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """the JSON from which this manifest was read, including unknown keys of other versions"""

    @property
    def keeps_memory(self) -> bool:
        """Whether the allocator kept freed memory: on request, or through variables that were set by hand."""
        return self.config.allocator is Allocator.KEEP or bool(self.environment.keeps_memory)


_FRAMEWORK_FIELDS = {f.name for f in fields(FrameworkInfo)} - {"conditions"}


def manifest_to_json(manifest: Manifest) -> dict[str, Any]:
    """The manifest as JSON values. Raises UserError with the name of a field that is not JSON or has a wrong type."""
    # A condition may be any object: convert it to JSON directly, because `asdict` would copy it first.
    conditions = _to_json_values(dict(manifest.framework.conditions))
    plain = replace(manifest, as_stored={}, framework=replace(manifest.framework, conditions={}))
    data = _to_json_values(asdict(plain))
    del data["as_stored"]
    framework = data["framework"]
    del framework["conditions"]
    data["framework"] = framework | {key: v for key, v in conditions.items() if key not in _FRAMEWORK_FIELDS}
    data["environment"] = _without_unknown_pool_keys(data["environment"])
    if manifest.data.kind is DataKind.CUSTOM:  # it has neither the other settings nor an order of runs
        data["config"] = {key: value for key, value in data["config"].items() if value is not None}
        del data["order"], data["turn"]
    stored = {key: value for key, value in data.items() if value is not None}
    manifest_from_json(stored)  # refuse a run that could not be read back, before it starts
    return stored


def environment_to_json(environment: Environment) -> dict[str, Any]:
    """The environment as JSON values; a thread pool has only the keys whose values are known."""
    return _without_unknown_pool_keys(_to_json_values(asdict(environment)))


def _without_unknown_pool_keys(environment: dict[str, Any]) -> dict[str, Any]:
    pools = [{key: value for key, value in pool.items() if value is not None} for pool in environment["thread_pools"]]
    return {**environment, "thread_pools": pools}


def _to_json_values(section: Mapping[str, Any]) -> dict[str, Any]:
    try:
        text = json.dumps(section, ensure_ascii=False)
        data: dict[str, Any] = json.loads(text.encode("utf-8", "replace"))  # half a surrogate pair is no text
    except (TypeError, ValueError, RecursionError) as error:
        wrong = next((key for key, value in section.items() if not _is_json(value)), "a key")
        raise UserError(f"a condition of the run is not JSON: {wrong}: {error}") from None
    return data


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def manifest_from_json(data: Mapping[str, Any]) -> Manifest:
    """Read what `manifest_to_json` wrote, or an older version of it.

    Raises UserError with the name of the field that is missing or of the wrong type.
    """
    typed = dict(data)
    framework = data.get("framework")
    if isinstance(framework, Mapping):
        conditions = {key: value for key, value in framework.items() if key not in _FRAMEWORK_FIELDS}
        typed["framework"] = {**framework, "conditions": conditions}
    for name in ("config", "data", "full_epoch"):
        if isinstance(typed.get(name), Mapping):
            typed[name] = _normalise_section(typed[name])
    return replace(convert_json(typed, Manifest, "manifest"), as_stored=data)


def _normalise_section(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section as this version writes it: custom loops once stored whole floats, and a null label."""
    whole = {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in section.items()
    }
    return {key: value for key, value in whole.items() if (key, value) != ("label", None)}

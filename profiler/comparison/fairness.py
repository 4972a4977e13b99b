"""Fairness: every condition that differs between subjects and can affect their time or their accuracy."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from epoch_gap.profiler.analysis.run_analysis import RunAnalysis
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.machine.environment import Environment, Machine
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, Config, DataKind, Manifest, Network

NOT_AVAILABLE = "n/a"


class Affects(StrEnum):
    """The effect that a condition can have; the values are stored in summary.json."""

    TIME = "time"
    ACCURACY = "accuracy"
    BOTH = "both"


@dataclass(frozen=True)
class Item:
    """One condition of every subject."""

    name: str
    values: dict[str, str]
    """by subject id"""
    differs: bool
    """whether the subjects, or the runs of one subject, differ; an unknown value differs from a known one"""
    affects: Affects


@dataclass(frozen=True)
class Condition:
    """A condition, how to read it from a run, and what it can affect."""

    name: str
    read: Callable[[RunAnalysis], Any]
    affects: Affects
    framework_key: str = ""
    """its key among the framework's own conditions, if it is one"""


def _manifest(name: str, read: Callable[[Manifest], Any], affects: Affects) -> Condition:
    return Condition(name, lambda analysis: read(analysis.run.manifest), affects)


def _config(name: str, read: Callable[[Config], Any], affects: Affects) -> Condition:
    return _manifest(name, lambda manifest: read(manifest.config), affects)


def _environment(name: str, read: Callable[[Environment], Any]) -> Condition:
    return _manifest(name, lambda manifest: read(manifest.environment), Affects.TIME)


def _machine(name: str, read: Callable[[Machine], Any]) -> Condition:
    return _environment(name, lambda environment: read(environment.machine))


def _framework(key: str, affects: Affects, name: str = "") -> Condition:
    """A condition that the framework itself reports."""
    return Condition(name or key, lambda a: a.run.framework.conditions.get(key), affects, key)


def _describe_pools(environment: Environment) -> str:
    """Library, kernels and threads of each loaded pool."""
    return "; ".join(
        " ".join(filter(None, (pool.internal_api, pool.architecture, f"x{pool.num_threads}")))
        for pool in environment.thread_pools
    )


def _describe_cores_busy(analysis: RunAnalysis) -> str | None:
    return None if analysis.cores_busy is None else f"about {analysis.cores_busy:.0f}"


def _describe_variables(environment: Environment) -> str | None:
    return _describe_set(environment.variables)


def _describe_set(variables: Mapping[str, str] | None) -> str | None:
    """The variables with their values; None if they were not recorded."""
    if variables is None:
        return None
    return ", ".join(f"{name}={value}" for name, value in variables.items()) or "none set"


def _describe_allocator(environment: Environment) -> str | None:
    """The allocator, and whether it keeps freed memory, as read back from the process."""
    if environment.allocator is None:
        return None
    kept = {None: "", True: ", keeps freed memory", False: ", gives large blocks back"}[environment.keeps_memory]
    return f"{environment.allocator}{kept}"


def _describe_fences(manifest: Manifest) -> str | None:
    """In rounds, which processes have fenced steps is the session's rule, the same for all sides."""
    return manifest.config.fence if manifest.round is None else "by round"


def _describe_size(network: Network) -> str:
    return f"{network.image_size} x {network.image_size}"


def _describe_git(manifest: Manifest) -> Mapping[str, Any]:
    git = manifest.environment.git
    known = {"commit": git.commit, "dirty": git.dirty}
    return {key: value for key, value in known.items() if value is not None}


CONDITIONS: tuple[Condition, ...] = (
    _manifest("device", lambda manifest: manifest.framework.device, Affects.TIME),
    _framework("execution", Affects.TIME),
    _framework("kernels", Affects.TIME),
    _framework("accelerator", Affects.TIME),
    _framework("conv_view_limit_mb", Affects.TIME, "Lucid's limit of a convolution's view, MB"),
    _framework("instruction_sets", Affects.TIME, "PyTorch's instruction sets"),
    _framework("flags", Affects.TIME, "PyTorch's flags"),
    _environment("thread pools and BLAS kernels", _describe_pools),
    Condition("cores kept busy while training", _describe_cores_busy, Affects.TIME),
    _environment("NumPy's BLAS", lambda environment: environment.numpy_blas),
    _environment("BLAS and OpenMP variables", _describe_variables),
    _framework("dtype", Affects.BOTH),
    _framework("layout", Affects.TIME),
    _framework("tf32", Affects.BOTH, "TF32"),
    _framework("autocast", Affects.BOTH, "automatic mixed precision"),
    _framework("loader", Affects.TIME),
    _framework("data_order", Affects.ACCURACY, "data order"),
    _framework("initialisation", Affects.ACCURACY),
    _framework("optimizer", Affects.ACCURACY),
    _framework("schedule", Affects.ACCURACY, "learning-rate schedule"),
    _config("seed", lambda config: config.seed, Affects.ACCURACY),
    Condition("training steps taken", lambda analysis: len(analysis.run.train), Affects.ACCURACY),
    _config("interventions (--switch)", lambda config: ", ".join(config.switches or ()) or "none", Affects.BOTH),
    _manifest("fence policy", _describe_fences, Affects.TIME),
    _config("epochs", lambda config: config.epochs, Affects.ACCURACY),
    _config("checkpoint per epoch", lambda config: config.checkpoint, Affects.TIME),
    _environment("memory allocator", _describe_allocator),
    _environment("memory variables", lambda environment: _describe_set(environment.memory_variables)),
    _environment("huge pages", lambda environment: environment.huge_pages),
    _config("memory-mapped data", lambda config: config.mmap, Affects.TIME),
    _manifest("test images", lambda manifest: manifest.data.test_images, Affects.ACCURACY),
    _manifest("training images", lambda manifest: manifest.data.train_images, Affects.BOTH),
    _manifest("progress bar", lambda manifest: manifest.progress, Affects.TIME),
    _machine("CPU", lambda machine: machine.cpu),
    _machine("usable cores", lambda machine: machine.cores_usable),
    _machine("CPU limit of the control group", lambda machine: machine.cgroup_cpu_max),
    _machine("memory, bytes", lambda machine: machine.memory_bytes),
    _machine("system", lambda machine: machine.system),
    _machine("governor", lambda machine: machine.governor),
    _machine("power", lambda machine: machine.power),
    _environment("Python", lambda environment: environment.python),
    _environment("NumPy", lambda environment: environment.packages.get("numpy")),
    _manifest("framework commit", lambda manifest: manifest.framework.installed_commit, Affects.BOTH),
    _manifest("project commit", _describe_git, Affects.BOTH),
)

NETWORK_CONDITIONS: tuple[Condition, ...] = (
    _config("network", lambda config: config.network.model, Affects.BOTH),
    _config("image size", lambda config: _describe_size(config.network), Affects.BOTH),
    _framework("images", Affects.BOTH, "resizing of the images"),
)
"""listed unless all subjects have the article's network and image size"""


def audit_fairness(subjects: Sequence[Subject]) -> list[Item]:
    """Every condition, differing ones first; n/a for a subject that does not have it."""
    is_articles = all(subject.config.network == DEFAULT_NETWORK for subject in subjects)
    of_network = () if is_articles else NETWORK_CONDITIONS
    conditions = [*CONDITIONS, *of_network, *_rank_conditions(subjects), *_custom_conditions(subjects)]
    items = [_item(subjects, condition) for condition in conditions]
    return sorted(items, key=lambda item: not item.differs)


def _rank_conditions(subjects: Sequence[Subject]) -> Iterator[Condition]:
    """The ranks, their threads and their collectives, if any subject is one; torchrun sets one thread by itself."""
    if any(subject.manifest.rank is not None for subject in subjects):
        yield _manifest("ranks", lambda manifest: manifest.rank and manifest.rank.world_size, Affects.BOTH)
        yield _framework("threads", Affects.TIME, "threads of each process")
        yield _framework("distributed", Affects.BOTH, "distributed training")


def _custom_conditions(subjects: Sequence[Subject]) -> Iterator[Condition]:
    """The other conditions of custom training loops; their effect is unknown, so they count as affecting both."""
    listed = {condition.framework_key for condition in CONDITIONS}
    custom = (run for s in subjects for run in s.runs if run.manifest.data.kind is DataKind.CUSTOM)
    keys = (key for run in custom for key in run.framework.conditions)
    yield from (_framework(key, Affects.BOTH) for key in dict.fromkeys(keys) if key not in listed)


def _item(subjects: Sequence[Subject], condition: Condition) -> Item:
    texts = {s.id: dict.fromkeys(_describe(condition.read(a)) for a in s.analyses) for s in subjects}
    differs = len({text for of_subject in texts.values() for text in of_subject}) > 1
    values = {subject: " | ".join(of_subject) for subject, of_subject in texts.items()}
    return Item(condition.name, values, differs, condition.affects)


def _describe(value: Any) -> str:
    if value is None or value in ("", {}):
        return NOT_AVAILABLE
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_describe(v)}" for key, v in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)

"""Whatever differs between two subjects and can move their time or their accuracy."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epoch_gap.profiler.analysis.flags import cores_busy
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.storage.run import Run

Read = Callable[[Run], Any]
UNKNOWN = "n/a"


@dataclass(frozen=True)
class Item:
    """One condition of every subject."""

    name: str
    values: dict[str, str]
    """by subject id"""
    differs: bool
    """whether the subjects, or the repeats of one, were not alike; not to know is not like to know"""
    matters: str
    """time | accuracy | both"""


@dataclass(frozen=True)
class _Framework:
    """What the framework said of itself under `key`."""

    key: str

    def __call__(self, run: Run) -> Any:
        return run.manifest["framework"].get(self.key)


def _config(key: str) -> Read:
    return lambda run: run.manifest["config"].get(key)


def _environment(key: str) -> Read:
    return lambda run: run.manifest["environment"].get(key)


def _machine(key: str) -> Read:
    return lambda run: run.manifest["environment"]["machine"].get(key)


def _pools(run: Run) -> str:
    """Each loaded pool's library, kernel and threads."""
    pools = run.manifest["environment"]["thread_pools"]
    return "; ".join(
        " ".join(
            str(part) for part in (p.get("internal_api"), p.get("architecture"), f"x{p.get('num_threads')}") if part
        )
        for p in pools
    )


def _cores_busy(run: Run) -> str | None:
    cores = cores_busy(run)
    return None if cores is None else f"about {cores:.0f}"


def _variables(run: Run) -> str:
    return ", ".join(f"{k}={v}" for k, v in run.manifest["environment"]["variables"].items()) or "none set"


def _package(name: str) -> Read:
    return lambda run: run.manifest["environment"]["packages"].get(name)


AUDIT: tuple[tuple[str, Read, str], ...] = (
    ("device", _Framework("device"), "time"),
    ("execution", _Framework("execution"), "time"),
    ("kernels", _Framework("kernels"), "time"),
    ("accelerator", _Framework("accelerator"), "time"),
    ("thread pools and BLAS kernels", _pools, "time"),
    ("cores kept busy while training", _cores_busy, "time"),
    ("NumPy's BLAS", _environment("numpy_blas"), "time"),
    ("BLAS and OpenMP variables", _variables, "time"),
    ("dtype", _Framework("dtype"), "both"),
    ("layout", _Framework("layout"), "time"),
    ("TF32", _Framework("tf32"), "both"),
    ("automatic mixed precision", _Framework("autocast"), "both"),
    ("loader", _Framework("loader"), "time"),
    ("data order", _Framework("data_order"), "accuracy"),
    ("initialisation", _Framework("initialisation"), "accuracy"),
    ("optimizer", _Framework("optimizer"), "accuracy"),
    ("learning-rate schedule", _Framework("schedule"), "accuracy"),
    ("seed", _config("seed"), "accuracy"),
    ("training steps taken", lambda run: len(run.train), "accuracy"),
    ("fence policy", _config("fence"), "time"),
    ("epochs", _config("epochs"), "accuracy"),
    ("checkpoint per epoch", _config("checkpoint"), "time"),
    ("memory-mapped data", _config("mmap"), "time"),
    ("test images", lambda run: run.manifest["data"]["test_images"], "accuracy"),
    ("training images", lambda run: run.manifest["data"]["train_images"], "both"),
    ("progress bar", lambda run: run.manifest.get("progress"), "time"),
    ("CPU", _machine("cpu"), "time"),
    ("usable cores", _machine("cores_usable"), "time"),
    ("CPU limit of the control group", _machine("cgroup_cpu_max"), "time"),
    ("memory, bytes", _machine("memory_bytes"), "time"),
    ("system", _machine("system"), "time"),
    ("governor", _machine("governor"), "time"),
    ("power", _machine("power"), "time"),
    ("Python", _environment("python"), "time"),
    ("NumPy", _package("numpy"), "time"),
    ("project commit", lambda run: run.manifest["environment"]["git"], "both"),
)
"""(item, how to read it from a run, what it can move)"""

NO_CONDITIONS = {"name", "title", "version", "phases", "clocks"}
"""what a run stores of its framework besides conditions"""
LISTED = {read.key for _, read, _ in AUDIT if isinstance(read, _Framework)}


def machine(run: Run) -> str:
    """The machine that a run had, in words: CPU, usable cores, CPU limit where there is one, system."""
    found = run.manifest["environment"]["machine"]
    limit = str(found.get("cgroup_cpu_max"))
    limited = f" (CPU limit {limit})" if limit[:1].isdigit() else ""
    return f"{found['cpu']}, {found['cores_usable']} cores{limited}, {found['system'].split()[0]}"


def other_machines(subjects: Mapping[str, Subject]) -> str | None:
    """That subjects, by what they are called, did not run on one machine, in words; None where they did."""
    found = {name: " and ".join(dict.fromkeys(map(machine, s.runs))) for name, s in subjects.items()}
    if len({machine(run) for s in subjects.values() for run in s.runs}) == 1:
        return None
    where = "; ".join(f"{name} on {machines}" for name, machines in found.items())
    return f"{' and '.join(found)} ran on different machines: {where}; the difference may be the machines'"


def audit(subjects: Sequence[Subject]) -> list[Item]:
    """Every condition, those that differ first; a subject without one reads UNKNOWN."""
    items = [_item(subjects, *entry) for entry in (*AUDIT, *_others(subjects))]
    return sorted(items, key=lambda item: not item.differs)


def _others(subjects: Sequence[Subject]) -> Iterator[tuple[str, Read, str]]:
    """What else loops of one's own said of themselves: nobody knows what that can move."""
    own = (run for s in subjects for run in s.runs if run.manifest["data"]["kind"] == "own")
    known = (key for run in own for key in run.manifest["framework"])
    for key in dict.fromkeys(known):
        if key not in NO_CONDITIONS | LISTED:
            yield key, _Framework(key), "both"


def _item(subjects: Sequence[Subject], name: str, read: Read, matters: str) -> Item:
    found = {s.id: dict.fromkeys(_text(read(run)) for run in s.runs) for s in subjects}
    differs = len({text for texts in found.values() for text in texts}) > 1
    return Item(name, {subject: " | ".join(texts) for subject, texts in found.items()}, differs, matters)


def _text(value: Any) -> str:
    if value is None or value in ("", {}):
        return UNKNOWN
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(v)}" for key, v in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)

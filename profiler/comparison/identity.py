"""Identity: every key by which runs are matched, each a function of the manifest.

| key | two runs share it if | used by |
|---|---|---|
| `subject_id` | they are repeats of one configuration | subjects |
| `lineage_id` | they differ at most in the framework's version | histories |
| `series_key` | they belong to one series of a history | histories |
| `data_key` | they used the same data | comparability |
| `machine_key` | they ran on equal machines | noise floors |
| `comparison_key` | one noise floor applies to both | noise floors |
| `candidate_key` | a report shows only the newest of them | run selection |
| `drilldown_key` | their drill-downs have the same name | drill-downs |
| `watched_key` | one drill-down would explain both | drill-downs |
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.manifest import DataKind, Manifest, Network
from epoch_gap.profiler.storage.noise_floor_store import noise_floor_key
from epoch_gap.profiler.storage.run import Run

SETTINGS = ("checkpoint", "mmap", "compile")
"""switches that distinguish configurations"""


KEPT = "memory kept"
"""the setting of an allocator that keeps freed memory, in titles"""


def active_settings(manifest: Manifest) -> list[str]:
    """The network if it is not the article's, the settings of `SETTINGS` that are on, `KEPT`, interventions, rank.

    All in words.
    """
    network = manifest.config.network.settings
    settings = [name for name in SETTINGS if getattr(manifest.config, name)]
    kept = [KEPT] if manifest.keeps_memory else []
    switches = [name.replace("_", " ") for name in active_switches(manifest)]
    return [*network, *settings, *kept, *switches, *([manifest.rank.title] if manifest.rank is not None else [])]


def active_switches(manifest: Manifest) -> tuple[str, ...]:
    """The interventions that were on."""
    return manifest.config.switches or ()


def subject_id(manifest: Manifest) -> str:
    """Framework, label, version, device and active settings."""
    return _join(manifest, manifest.framework.exact_version)


def lineage_id(manifest: Manifest) -> str:
    """A subject's id without the framework's version."""
    return _join(manifest, "")


def _join(manifest: Manifest, version: str) -> str:
    """The parts joined by hyphens, which only the label may contain, so that no two subjects share an id."""
    framework, label = manifest.framework, manifest.config.label
    name, version, device = (
        part.replace("%", "%25").replace("-", "%2D") for part in (framework.name, version, framework.device)
    )
    settings = [setting.replace(" ", "-") for setting in active_settings(manifest)]
    return "-".join(filter(None, [name, label, version, device, *settings]))


def data_key(manifest: Manifest) -> str:
    """The data's SHA-256; for a custom training loop, the name of its data."""
    return str(manifest.data.sha256 or manifest.data.source)


def machine_key(manifest: Manifest) -> str:
    """CPU, architecture, usable cores, memory, system and CPU limit."""
    machine = manifest.environment.machine
    parts = [machine.cpu, machine.arch, machine.cores_usable, machine.memory_bytes]
    return ", ".join([*map(str, parts), machine.system.split()[0], machine.cpu_limit or "no CPU limit"])


def comparison_key(manifest: Manifest, *, is_plain: bool = False) -> str:
    """The key of the noise floor that applies: framework, device, batch size, data, allocator, network, switches.

    With `is_plain`, that of the same without interventions, which applies if the other was not measured. None was
    measured for ranks.
    """
    config, switches = manifest.config, () if is_plain else active_switches(manifest)
    key = noise_floor_key(
        config.framework,
        manifest.framework.device,
        config.batch_size,
        manifest.data.kind,
        manifest.keeps_memory,
        config.network,
        switches,
    )
    return key if manifest.rank is None else f"{key}-{manifest.rank.title.replace(' ', '-')}"


def candidate_key(manifest: Manifest) -> tuple[str, str, bool, tuple[str, ...], str]:
    """Framework, label, allocator, interventions and rank."""
    config, rank = manifest.config, "" if manifest.rank is None else manifest.rank.title
    return config.framework, config.label, manifest.keeps_memory, active_switches(manifest), rank


def drilldown_key(manifest: Manifest) -> str:
    """Framework, device and, if it is not the article's, the network."""
    return name_drilldown(manifest.config.framework, manifest.framework.device, manifest.config.network)


def name_drilldown(framework: str, device: str, network: Network) -> str:
    """The conditions in the name of a drill-down. A network follows a dot, so that no name begins another."""
    return ".".join([f"{framework}-{device}", *network.settings])


type WatchedKey = tuple[str, str, str, bool, tuple[str, ...], Network]


def watched_key(manifest: Manifest) -> WatchedKey:
    """Framework, version, device, allocator, interventions, network: drill-downs have no labels or other settings."""
    framework, switches = manifest.framework, active_switches(manifest)
    of_framework = framework.name, framework.exact_version, framework.device
    return *of_framework, manifest.keeps_memory, switches, manifest.config.network


def series_key(manifest: Manifest) -> tuple[object, ...]:
    """Lineage, batch size, data, machine and size of the epoch: comparable, and repeats except for the version.

    For a custom training loop also the conditions that it was recorded with.
    """
    machine, is_custom = manifest.environment.machine.description, manifest.data.kind is DataKind.CUSTOM
    told = json.dumps(dict(manifest.framework.conditions), sort_keys=True, default=str) if is_custom else ""
    return lineage_id(manifest), manifest.config.batch_size, data_key(manifest), machine, manifest.full_epoch, told


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise UserError unless every run can be compared with the first."""
    _refuse(runs, why_incomparable)


def check_same_task(runs: Sequence[Run]) -> None:
    """Raise UserError unless all runs used the same network, batch size and data."""
    _refuse(runs, why_different_tasks)


def check_no_alternation(runs: Sequence[Run]) -> None:
    """Raise UserError for a run whose interventions alternated: its steps are not of one configuration."""
    for run in runs:
        if alternates(run.manifest):
            raise UserError(f"{run.id}: interventions alternated in this run; only `experiment` reports it")


def alternates(manifest: Manifest) -> bool:
    """Whether interventions were turned on and off within the run."""
    return manifest.config.alternate is not None


def stands_alone(manifest: Manifest) -> bool:
    """Whether a run is reported like others: not a rank, and without interventions that alternated."""
    return manifest.rank is None and not alternates(manifest)


def _refuse(runs: Sequence[Run], why: Callable[[Run, Run], str | None]) -> None:
    for run in runs[1:]:
        if reason := why(runs[0], run):
            raise UserError(f"{runs[0].id} and {run.id} cannot be compared: {reason}")


def why_incomparable(a: Run, b: Run) -> str | None:
    """The reason that two runs cannot be compared, or None: another task, or an unfair allocator.

    One configuration with and without kept memory can be compared: that is what keeping it is worth.
    """
    if reason := why_different_tasks(a, b):
        return reason
    kept = {run.manifest.keeps_memory for run in (a, b)}
    if len(kept) > 1 and len({_without_allocator(run.manifest) for run in (a, b)}) > 1:
        return "the allocator keeps freed memory on one side only; run both with ALLOCATOR=keep, or both without"
    return None


def _without_allocator(manifest: Manifest) -> str:
    """A subject's id without its allocator."""
    config, environment = manifest.config, manifest.environment
    return subject_id(
        replace(
            manifest,
            config=replace(config, allocator=None),
            environment=replace(environment, keeps_memory=None),
        )
    )


def why_different_tasks(a: Run, b: Run) -> str | None:
    """The reason that two runs do not belong into one report, or None."""
    networks = [run.manifest.config.network for run in (a, b)]
    if networks[0].model != networks[1].model:
        return f"models {networks[0].model} and {networks[1].model} differ"
    if networks[0].image_size != networks[1].image_size:
        return f"image sizes {networks[0].image_size} and {networks[1].image_size} differ"
    if a.batch_size != b.batch_size:
        return f"batch sizes {a.batch_size} and {b.batch_size} differ"
    if data_key(a.manifest) != data_key(b.manifest):
        return f"data {' and '.join(_data_name(run.manifest) for run in (a, b))} differ"
    sizes = [run.manifest.full_epoch for run in (a, b)]
    if sizes[0] != sizes[1]:
        return f"epochs of {' and '.join(size.description for size in sizes)} differ"
    return None


def _data_name(manifest: Manifest) -> str:
    data = manifest.data
    return f"{data.source} ({data.sha256[:8]})" if data.sha256 else data.source

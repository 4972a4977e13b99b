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

from collections.abc import Sequence

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.manifest import Manifest
from epoch_gap.profiler.storage.noise_floor_store import noise_floor_key
from epoch_gap.profiler.storage.run import Run

SETTINGS = ("checkpoint", "mmap", "compile")
"""switches that distinguish configurations"""


def active_settings(manifest: Manifest) -> list[str]:
    """The switches of `SETTINGS` that are on."""
    return [name for name in SETTINGS if getattr(manifest.config, name)]


def subject_id(manifest: Manifest) -> str:
    """Framework, label, version, device and active settings."""
    return _join(manifest, manifest.framework.version)


def lineage_id(manifest: Manifest) -> str:
    """A subject's id without the framework's version."""
    return _join(manifest, "")


def _join(manifest: Manifest, version: str) -> str:
    framework, label = manifest.framework, manifest.config.label
    parts = [framework.name, label, version, framework.device, *active_settings(manifest)]
    return "-".join(filter(None, parts))


def data_key(manifest: Manifest) -> str:
    """The data's SHA-256; for a custom training loop, the name of its data."""
    return str(manifest.data.sha256 or manifest.data.source)


def machine_key(manifest: Manifest) -> str:
    """CPU, architecture, usable cores, memory, system and CPU limit."""
    machine = manifest.environment.machine
    parts = [machine.cpu, machine.arch, machine.cores_usable, machine.memory_bytes]
    return ", ".join([*map(str, parts), machine.system.split()[0], machine.cpu_limit or "no CPU limit"])


def comparison_key(manifest: Manifest) -> str:
    """The key of the noise floor that applies: framework, device, batch size and kind of data."""
    framework, config = manifest.framework, manifest.config
    return noise_floor_key(config.framework, framework.device, config.batch_size, manifest.data.kind)


def candidate_key(manifest: Manifest) -> tuple[str, str]:
    """Framework and label."""
    return manifest.config.framework, manifest.config.label


def drilldown_key(manifest: Manifest) -> str:
    """Framework and device."""
    return f"{manifest.config.framework}-{manifest.framework.device}"


def watched_key(manifest: Manifest) -> tuple[str, str, str]:
    """Framework, version and device: drill-downs have neither labels nor settings."""
    framework = manifest.framework
    return framework.name, framework.version, framework.device


def series_key(manifest: Manifest) -> tuple[object, ...]:
    """Lineage, batch size, data, machine and size of the epoch: comparable, and repeats except for the version."""
    machine = manifest.environment.machine.description
    return lineage_id(manifest), manifest.config.batch_size, data_key(manifest), machine, manifest.full_epoch


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise UserError unless all runs used the same batch size and the same data."""
    for run in runs[1:]:
        if reason := why_incomparable(runs[0], run):
            raise UserError(f"{runs[0].id} and {run.id} cannot be compared: {reason}")


def why_incomparable(a: Run, b: Run) -> str | None:
    """The reason that two runs cannot be compared, or None."""
    if a.batch_size != b.batch_size:
        return f"batch sizes {a.batch_size} and {b.batch_size} differ"
    if data_key(a.manifest) != data_key(b.manifest):
        return f"data {' and '.join(_data_name(run.manifest) for run in (a, b))} differ"
    return None


def _data_name(manifest: Manifest) -> str:
    data = manifest.data
    return f"{data.source} ({data.sha256[:8]})" if data.sha256 else data.source

"""The conditions of a drill-down, typed: the framework, the batch size and the data that it used."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, DataKind, Manifest, Network, exact_version
from epoch_gap.profiler.storage.typed_json import convert_json


@dataclass(frozen=True, kw_only=True)
class DrilldownFramework:
    """The framework and device of a drill-down."""

    name: str
    """the registry's name"""
    title: str | None = None
    """the display name; None in sampled stacks, which take it from their run"""
    version: str
    installed_commit: str | None = None
    """as in a manifest"""
    device: str

    @property
    def exact_version(self) -> str:
        """As that of a run."""
        return exact_version(self.version, self.installed_commit)


@dataclass(frozen=True, kw_only=True)
class DrilldownData:
    """The images of a drill-down."""

    kind: DataKind
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class DrilldownConditions:
    """The conditions of a drill-down; `matching.explains` compares them with those of a run."""

    framework: DrilldownFramework
    batch_size: int
    data: DrilldownData
    keeps_memory: bool = False
    """whether the allocator kept freed memory"""
    switches: tuple[str, ...] = ()
    """the interventions that were on"""
    network: Network = DEFAULT_NETWORK
    environment: Mapping[str, Any] | None = None
    """as in a run's manifest, for people who read the file; None in sampled stacks"""

    @classmethod
    def from_manifest(cls, manifest: Manifest) -> Self:
        """The conditions that a run and its drill-down must share."""
        framework = manifest.framework
        return cls(
            framework=DrilldownFramework(
                name=framework.name,
                version=framework.version,
                installed_commit=framework.installed_commit,
                device=framework.device,
            ),
            batch_size=manifest.config.batch_size,
            data=DrilldownData(kind=manifest.data.kind),
            keeps_memory=manifest.keeps_memory,
            switches=manifest.config.switches or (),
            network=manifest.config.network,
        )


def conditions_to_json(conditions: DrilldownConditions) -> dict[str, Any]:
    """The conditions as JSON values, without unknown ones."""
    return {
        "framework": _without_none(asdict(conditions.framework)),
        "batch_size": conditions.batch_size,
        "data": _without_none(asdict(conditions.data)),
        **({"keeps_memory": True} if conditions.keeps_memory else {}),
        **({"switches": list(conditions.switches)} if conditions.switches else {}),
        **({"network": asdict(conditions.network)} if conditions.network != DEFAULT_NETWORK else {}),
        **_without_none({"environment": conditions.environment}),
    }


def conditions_from_json(data: Any) -> DrilldownConditions:
    """Read the output of `conditions_to_json`. Raises UserError with the name of the field that is wrong."""
    return convert_json(data, DrilldownConditions, "conditions")


def _without_none(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if value is not None}

"""The result of a parity check, and its file `parity.json`."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.parity.definitions import DefinitionDifference
from epoch_gap.profiler.parity.tensors import Quantity, Trace, Traces, Transposition
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, DataKind, Network
from epoch_gap.profiler.storage.typed_json import convert_json

FILE = "parity.json"
SCHEMA_VERSION = 1
DIGITS = 4
"""of stored relative differences"""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two frameworks."""

    name: str
    """the registry's name"""
    title: str
    version: str
    device: str
    losses: tuple[float | None, ...]
    """by step; None: not a finite number"""

    @property
    def label(self) -> str:
        """The title with version and device."""
        return f"{self.title} {self.version.partition('+')[0]} ({self.device})"


@dataclass(frozen=True, kw_only=True)
class RoundedRun:
    """The reference once more, in another order of summation."""

    label: str
    """what differs"""
    losses: tuple[float | None, ...]
    threads: int | None = None
    """the number of native threads, if that is what differs"""


@dataclass(frozen=True, kw_only=True)
class ParityData:
    """The images of the batches."""

    kind: DataKind
    source: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What two frameworks computed from the same weights on the same batches."""

    reference: Side
    other: Side
    rounded: tuple[RoundedRun, ...]
    data: ParityData
    batch_size: int
    seed: int
    tolerance: float
    definitions: tuple[DefinitionDifference, ...]
    transposed: Transposition | None = None
    network: Network = DEFAULT_NETWORK
    environment: Mapping[str, Any] = field(default_factory=dict)
    """as in a run's manifest, for people who read the file"""
    traces: Traces = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The number of training steps."""
        return len(self.reference.losses)


def parity_to_json(parity: Parity) -> dict[str, Any]:
    """The stored form. A relative difference that is not finite is null: the values cannot be compared.

    The network is stored unless it is the article's.
    """
    data = asdict(parity)
    del data["traces"]
    if parity.network == DEFAULT_NETWORK:
        del data["network"]
    data["layers"] = {
        str(quantity): {
            layer: {"difference": _stored(trace.difference), "rounding": _stored(trace.rounding)}
            for layer, trace in layers.items()
        }
        for quantity, layers in parity.traces.items()
    }
    data["definitions"] = [
        {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()}
        for row in data["definitions"]
    ]
    return {"schema_version": SCHEMA_VERSION, **data}


def parity_to_text(parity: Parity) -> str:
    """The content of `parity.json`; a layer's numbers are on one line."""
    data = parity_to_json(parity)
    layers = data.pop("layers")
    rows = [
        f"  {json.dumps(quantity)}: {{\n"
        + ",\n".join(f"   {json.dumps(layer)}: {json.dumps(trace)}" for layer, trace in traces.items())
        + "\n  }"
        for quantity, traces in layers.items()
    ]
    head = json.dumps(data, indent=1, allow_nan=False)
    return head[: head.rindex("\n}")] + ',\n "layers": {\n' + ",\n".join(rows) + "\n }\n}\n"


def parity_from_json(data: Any) -> Parity:
    """Read the output of `parity_to_json`. Raises UserError for anything else."""
    try:
        traces = {
            Quantity(quantity): {
                layer: Trace(list(_read(trace["difference"])), list(_read(trace["rounding"])))
                for layer, trace in layers.items()
            }
            for quantity, layers in data["layers"].items()
        }
        definitions = [
            {
                key: math.nan if key in ("reference", "other") and value is None else value
                for key, value in row.items()
            }
            for row in data["definitions"]
        ]
        typed = {**data, "definitions": definitions, "traces": {}}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"not a parity check: {type(error).__name__} {error}") from None
    parity = convert_json(typed, Parity, "parity")
    parity.traces.update(traces)
    return parity


def finite_or_none(losses: Sequence[float]) -> tuple[float | None, ...]:
    """Losses as they are stored."""
    return tuple(loss if math.isfinite(loss) else None for loss in losses)


def _stored(values: Sequence[float]) -> list[float | None]:
    return [float(f"{value:.{DIGITS - 1}e}") if math.isfinite(value) else None for value in values]


def _read(values: Sequence[float | None]) -> Iterator[float]:
    return (math.inf if value is None else float(value) for value in values)

"""A matrix: framework version x device x batch size x switches, each repeated in processes of its own.

A TOML file describes it, a table `[[framework]]` per framework, and its cells follow in an order that alternates.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from epoch_gap.profiler.errors import UserError, os_errors_as_one_line
from epoch_gap.profiler.storage.directories import safe_name
from epoch_gap.profiler.storage.typed_json import convert_json

REPEATS = 3
"""default number of processes per configuration"""


@dataclass(frozen=True, kw_only=True)
class FrameworkVersions:
    """A framework of a matrix. None: as for the whole matrix."""

    name: str
    """the registry's name"""
    versions: tuple[str, ...]
    """of its first package, in the order in which the page shows them"""
    devices: tuple[str, ...] | None = None
    batch_sizes: tuple[int, ...] | None = None
    switches: tuple[tuple[str, ...], ...] | None = None
    packages: tuple[str, ...] = ()
    """further requirements of its environments, which replace the pins of the same packages"""
    costs: Mapping[str, str] = field(default_factory=dict)
    """scripted costs by version, for a scripted framework"""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a cell measures: everything except the number of its repeat."""

    framework: str
    version: str
    device: str
    batch_size: int
    switches: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    python: str = ""
    """the version of Python; empty: that of this process"""
    costs: str = ""
    """scripted costs"""

    @property
    def title(self) -> str:
        """The display name."""
        return ", ".join(
            [f"{self.framework} {self.version}", self.device, f"batch {self.batch_size}", *self.switches]
        )

    @property
    def environment(self) -> tuple[object, ...]:
        """What its environment depends on: configurations that share it share a virtual environment."""
        return self.framework, self.version, self.packages, self.python


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One process to run."""

    id: str
    """stored in the manifest of its run: a digest of all its settings, so that a changed file makes new cells"""
    number: int
    """its place in the order, from 1"""
    repeat: int
    """from 1"""
    configuration: Configuration

    @property
    def title(self) -> str:
        """The display name."""
        return f"{self.configuration.title}, repeat {self.repeat}"


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A matrix as its file describes it."""

    framework: tuple[FrameworkVersions, ...]
    """its frameworks"""
    name: str = ""
    """of its folder in the run store; by default that of the file"""
    devices: tuple[str, ...] = ("auto",)
    batch_sizes: tuple[int, ...] = (128,)
    switches: tuple[tuple[str, ...], ...] = ((),)
    """the interventions of each configuration, `[]` for none"""
    repeats: int = REPEATS
    """processes per configuration"""
    layers: bool = False
    """whether each configuration also has its layers timed, in a separate run"""
    python: str = ""
    """the version of Python in the environments; empty: that of this process"""
    workload: Mapping[str, Any] = field(default_factory=dict)
    """the options of the runs, as `run` takes them"""

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """All configurations, in the order of the file."""
        return tuple(configuration for one in self.framework for configuration in self._of_framework(one))

    def _of_framework(self, one: FrameworkVersions) -> Iterator[Configuration]:
        devices, sizes = one.devices or self.devices, one.batch_sizes or self.batch_sizes
        switches = self.switches if one.switches is None else one.switches
        for version, device, size, chosen in product(one.versions, devices, sizes, switches):
            yield Configuration(
                framework=one.name,
                version=version,
                device=device,
                batch_size=size,
                switches=chosen,
                packages=one.packages,
                python=self.python,
                costs=one.costs.get(version, ""),
            )

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells in the order in which they run, A B C C B A ...: a slow change of the machine hits all."""
        cells: list[Cell] = []
        for repeat in range(1, self.repeats + 1):
            for configuration in self.configurations[:: 1 if repeat % 2 else -1]:
                id = f"{self.identify(configuration)}-r{repeat}"
                cells.append(Cell(id=id, number=len(cells) + 1, repeat=repeat, configuration=configuration))
        return tuple(cells)

    def identify(self, configuration: Configuration) -> str:
        """A readable id, with a digest of the configuration and of the workload."""
        settings = {"workload": dict(self.workload), **asdict(configuration)}
        one = configuration
        words = [one.framework, one.version, one.device, f"b{one.batch_size}", *one.switches]
        return f"{safe_name('-'.join(words))}-{_short_digest(settings)}"

    @property
    def session(self) -> str:
        """The id that the runs of all cells share: another one as soon as a cell is added or removed.

        Runs of one session alternated, so they are paired repeat by repeat; those of two files' versions are not.
        """
        return f"{self.name}-{_short_digest([cell.id for cell in self.cells])}"


def _short_digest(settings: Any) -> str:
    return blake2b(msgspec.json.encode(settings, order="sorted"), digest_size=4).hexdigest()


def read_matrix(path: Path) -> Matrix:
    """The matrix in a TOML file. Raises UserError, one line with the file and the key that is wrong."""
    with os_errors_as_one_line(f"cannot read {path}"):
        content = path.read_bytes()
    try:
        matrix = _matrix_from_toml(tomllib.loads(content.decode()))
    except (UserError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    return matrix if matrix.name else replace(matrix, name=safe_name(path.stem))


def _matrix_from_toml(data: dict[str, Any]) -> Matrix:
    _refuse_unknown(data, Matrix, "")
    tables = data.get("framework")
    if not isinstance(tables, list) or not tables:
        raise UserError("no [[framework]] with its name and versions")
    for number, table in enumerate(tables):
        if isinstance(table, dict):
            _refuse_unknown(table, FrameworkVersions, f" in framework[{number}]")
    matrix = convert_json(data, Matrix, "not a matrix")
    _check(matrix)
    return matrix


def _refuse_unknown(table: Mapping[str, Any], kind: type, place: str) -> None:
    known = [f.name for f in fields(kind)]
    if unknown := [key for key in table if key not in known]:
        raise UserError(f"unknown key {unknown[0]!r}{place}; the keys are {', '.join(known)}")


def _check(matrix: Matrix) -> None:
    """Raise UserError for values of the right type that make no matrix."""
    if matrix.name and matrix.name != safe_name(matrix.name):
        raise UserError(f"name {matrix.name!r} is no folder's name: use letters, digits, '.', '+' and '-'")
    if matrix.repeats < 1:
        raise UserError(f"repeats {matrix.repeats} is less than 1")
    if matrix.python and not all(part.isdigit() for part in matrix.python.split(".")):
        raise UserError(f"python {matrix.python!r} is not a version such as '3.13'")
    _check_axes(matrix, "")
    for one in matrix.framework:
        _check_axes(one, f" of {one.name}")
        if not one.versions:
            raise UserError(f"{one.name} has no versions")
        if strange := sorted(one.costs.keys() - set(one.versions)):
            raise UserError(f"costs of {one.name} {strange[0]}, which is not one of its versions")
    seen: set[Configuration] = set()
    for configuration in matrix.configurations:
        if configuration in seen:
            raise UserError(f"{configuration.title} is there twice")
        seen.add(configuration)


def _check_axes(axes: Matrix | FrameworkVersions, place: str) -> None:
    for name in ("devices", "batch_sizes", "switches"):
        if getattr(axes, name) == ():
            raise UserError(f"{name}{place} is empty")
    if wrong := [size for size in axes.batch_sizes or () if size < 1]:
        raise UserError(f"batch size {wrong[0]}{place} is less than 1")

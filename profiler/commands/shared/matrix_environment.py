"""The virtual environments of a matrix's cells, made by uv: one per list of packages, cached for the user.

The list is resolved once per matrix and kept in its folder, so that a resumed matrix goes on with the same packages:
the framework at the cell's version, and all others as pinned for this process, unless that version needs another.
"""

import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from epoch_gap.profiler.errors import UserError, one_line, os_errors_as_one_line
from epoch_gap.profiler.machine.folder_lock import hold_folder
from epoch_gap.profiler.matrix.matrix import Configuration
from epoch_gap.profiler.storage.atomic import write_atomically
from epoch_gap.profiler.storage.directories import safe_name
from epoch_gap.workloads.cifar10.cache import default_folder
from epoch_gap.workloads.registry import FRAMEWORKS

NEEDED = ("msgspec", "numpy", "psutil", "pyarrow", "scipy", "threadpoolctl", "tqdm")
"""what the verbs `run` and `layers` import, besides a framework"""
READY = ".ready"
"""in an environment that is complete"""
MOST_LINES, MOST_LETTERS = 4, 200
"""of what uv prints, in a reason"""


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """What an environment must hold."""

    id: str
    """of the file of its packages: readable, with a digest of the rest"""
    title: str
    python: str
    """a version, or the path of an interpreter"""
    own: tuple[str, ...]
    """requirements that choose their versions: the framework's, and those of the matrix's file"""
    pinned: tuple[str, ...]
    """requirements that take the versions of this process's environment"""

    @property
    def requirements(self) -> str:
        """All of them, a line each."""
        return "\n".join([*self.own, *self.pinned])


def environment_of(configuration: Configuration) -> EnvironmentSpec | None:
    """The environment of a configuration; None for a framework that needs no packages: this process's serves it.

    Raises UserError for a requirement that is none.
    """
    entry = FRAMEWORKS[configuration.framework]
    if not entry.packages:
        return None
    first, *others = entry.packages
    own = (f"{first}=={configuration.version}", *others, *configuration.packages)
    pinned = (*entry.beside, *NEEDED)
    for requirement in (*own, *pinned):
        _parse(requirement)
    python = configuration.python or platform.python_version()
    digest = blake2b("\n".join([python, *own, *pinned]).encode(), digest_size=4).hexdigest()
    return EnvironmentSpec(
        id=f"{safe_name(f'{configuration.framework}-{configuration.version}')}-{digest}",
        title=f"environment of {configuration.framework} {configuration.version}",
        python=_interpreter(configuration.python),
        own=own,
        pinned=pinned,
    )


def _interpreter(version: str) -> str:
    """This process's Python if it has the version; otherwise the version, and uv finds or downloads such a Python."""
    wanted, own = version.split("."), platform.python_version_tuple()
    is_own = not version or wanted == list(own[: len(wanted)])
    return str(Path(sys.executable).resolve()) if is_own else version


def _parse(requirement: str) -> Requirement:
    try:
        return Requirement(requirement)
    except InvalidRequirement as error:
        raise UserError(f"{requirement!r} is no requirement: {one_line(error)}") from None


def constraints(spec: EnvironmentSpec, installed: Mapping[str, str]) -> list[str]:
    """The pins that an environment must keep: those of its pinned requirements, unless the file chooses a version.

    `installed` is the version of each package in this process's environment, by canonical name.
    """
    chosen = {_name(requirement) for requirement in spec.own}
    names = dict.fromkeys(name for requirement in spec.pinned if (name := _name(requirement)) not in chosen)
    return [f"{name}=={installed[name]}" for name in names if name in installed]


def _name(requirement: str) -> str:
    return canonicalize_name(_parse(requirement).name)


def installed_versions() -> dict[str, str]:
    """The version of each package of this process's environment, by canonical name; without build tags."""
    named = ((d.metadata["Name"], d.version) for d in distributions())
    return {canonicalize_name(name): version.partition("+")[0] for name, version in named if name}


def find_tool(name: str) -> str:
    """The path of a command beside this Python, where `make matrix` installs it, or on PATH. Raises UserError."""
    for folder in (sysconfig.get_path("scripts"), f"{sys.prefix}/tools/bin", None):
        if found := shutil.which(name, path=folder):
            return found
    raise UserError(f"{name} is not installed; run `make matrix`, or install the extra `matrix`")


@dataclass(frozen=True)
class Environments:
    """The environments of a matrix: the lists of packages in `folder`, the environments themselves in `cache`."""

    folder: Path
    cache: Path

    @classmethod
    def of_matrix(cls, store: Path) -> "Environments":
        """Those of the matrix whose runs are in `store`."""
        return cls(store / "environments", default_folder() / "venvs")

    def python(self, spec: EnvironmentSpec) -> Path:
        """The interpreter of an environment that was made. Raises UserError if it was not."""
        with os_errors_as_one_line(f"{spec.title} was not made"):
            folder = self._venv(spec, self._list(spec).read_text())
        if not (folder / READY).is_file():
            raise UserError(f"{spec.title} was not made")
        return folder / "bin" / "python"

    def make(self, spec: EnvironmentSpec, log: Path) -> None:
        """Make an environment unless it is there. What uv prints goes to `log`. Raises UserError."""
        with os_errors_as_one_line(f"cannot make environments in {self.cache}", "set EPOCH_GAP_CACHE"):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.cache.mkdir(parents=True, exist_ok=True)
            if not self._list(spec).is_file():
                write_atomically(self._list(spec), self._resolve(spec, log))
            folder = self._venv(spec, self._list(spec).read_text())
            with hold_folder(self.cache):
                if not (folder / READY).is_file():
                    self._install(spec, folder, log)
                    (folder / READY).touch()

    def _list(self, spec: EnvironmentSpec) -> Path:
        return self.folder / f"{spec.id}.txt"

    def _venv(self, spec: EnvironmentSpec, packages: str) -> Path:
        """The folder of an environment, by platform, interpreter and list of packages."""
        parts = [sysconfig.get_platform(), spec.python, packages]
        return self.cache / blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()

    def _resolve(self, spec: EnvironmentSpec, log: Path) -> str:
        """The list of packages. uv keeps the versions of an earlier list where it can, so it gets all pins as one."""
        installed = installed_versions()
        with tempfile.TemporaryDirectory() as folder:
            pins, packages = Path(folder) / "pins.txt", Path(folder) / "packages.txt"
            pins.write_text("\n".join(constraints(spec, installed)))
            packages.write_text("\n".join(f"{name}=={version}" for name, version in installed.items()))
            words = ["pip", "compile", "-", "--python", spec.python, "--constraints", str(pins)]
            words += ["--output-file", str(packages), "--no-header", "--no-annotate", "--quiet"]
            _uv(words, log, spec.requirements)
            return packages.read_text()

    def _install(self, spec: EnvironmentSpec, folder: Path, log: Path) -> None:
        _uv(["venv", "--clear", "--python", spec.python, str(folder)], log)
        _uv(["pip", "sync", "--python", str(folder / "bin" / "python"), str(self._list(spec))], log)


def _uv(words: Sequence[str], log: Path, given: str = "") -> str:
    """The output of uv. Raises UserError with its message."""
    done = subprocess.run([find_tool("uv"), *words], input=given, capture_output=True, text=True)
    with log.open("a") as file:
        file.write(f"$ uv {' '.join(words)}\n{done.stdout}{done.stderr}")
    if done.returncode:
        raise UserError(f"uv {words[0]}: {describe_error(done.stderr)}")
    return done.stdout


def describe_error(printed: str) -> str:
    """What uv printed about an error, without what a build printed before it."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(("error: ", "cause: ")) or " fatal error: " in line]
    return "; ".join(line.removeprefix("error: ")[:MOST_LETTERS] for line in (said or lines[-1:])[:MOST_LINES])

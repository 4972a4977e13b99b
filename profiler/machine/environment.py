"""The conditions of a run, as an allow-list: only the fields defined here are recorded."""

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from epoch_gap.profiler.machine.allocator import (
    MEMORY_VARIABLES,
    Allocator,
    name_allocator,
    read_allocator,
    read_huge_pages,
)
from epoch_gap.profiler.machine.cgroup import cpu_limit, memory_limit, read_text, read_values

UNKNOWN = "unknown"

KERNEL_VARIABLES = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_DEBUG_CPU_TYPE",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "ATEN_CPU_CAPABILITY",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "LUCID_CONV_VIEW_LIMIT_MB",
    "MLX_DISABLE_COMPILE",
    "MLX_ENABLE_TF32",
    "MLX_MAX_MB_PER_BUFFER",
    "MLX_MAX_OPS_PER_BUFFER",
)
"""Environment variables that override a library's own choice of kernels."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
)
"""Environment variables that change the speed of BLAS or OpenMP; recorded when they are set."""
THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""those of them that set the number of threads"""

PACKAGES = ("numpy", "torch", "torchvision", "lucid-dl", "mlx", "jax", "jaxlib", "keras", "scipy", "tqdm")
COMMIT_DIGITS = 10
"""of a commit, as `git describe` abbreviates it"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Hardware, operating system and limits. "unknown": not readable here.

    None: not recorded by the version that stored the run.
    """

    cpu: str
    system: str
    cores_usable: int | str
    arch: str | None = None
    cores_physical: int | str | None = None
    cores_logical: int | str | None = None
    cgroup_cpu_max: str | None = None
    """`quota period` in microseconds, or `max period`"""
    cgroup_memory_max: str | None = None
    """bytes, or `max`"""
    memory_bytes: int | None = None
    governor: str | None = None
    power: str | None = None
    """mains | battery | unknown"""

    @property
    def cpu_limit(self) -> str | None:
        """The control group's CPU limit, `quota period`; None without one."""
        return self.cgroup_cpu_max if self.cgroup_cpu_max and self.cgroup_cpu_max[0].isdigit() else None

    @property
    def description(self) -> str:
        """A one-line summary: CPU, usable cores, CPU limit if there is one, system."""
        limited = f" (CPU limit {self.cpu_limit})" if self.cpu_limit else ""
        return f"{self.cpu}, {self.cores_usable} cores{limited}, {self.system.split()[0]}"


@dataclass(frozen=True, kw_only=True)
class ThreadPool:
    """One loaded BLAS or OpenMP library, as threadpoolctl reports it."""

    user_api: str | None = None
    internal_api: str | None = None
    prefix: str | None = None
    version: str | None = None
    num_threads: int | None = None
    architecture: str | None = None
    """the kernels that the library uses"""
    threading_layer: str | None = None


@dataclass(frozen=True, kw_only=True)
class Git:
    """The project's commit, and whether the working tree differed from it."""

    commit: str | None = None
    dirty: bool | str | None = None

    @property
    def short(self) -> str:
        """Seven digits of the commit, `+` appended if the working tree was dirty; empty if unknown."""
        return f"{self.commit[:7]}{'+' * (self.dirty is True)}" if self.commit not in (None, "", UNKNOWN) else ""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The machine and the software of a run."""

    machine: Machine
    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    """version by distribution name"""
    thread_pools: tuple[ThreadPool, ...] = ()
    numpy_blas: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    """the environment variables of `THREAD_VARIABLES` and `KERNEL_VARIABLES` that were set"""
    allocator: str | None = None
    """the memory allocator, with its version"""
    keeps_memory: bool | None = None
    """whether it keeps freed memory, read back from the process; None: not seen"""
    memory_variables: Mapping[str, str] | None = None
    """the environment variables of `MEMORY_VARIABLES` that were set"""
    huge_pages: str | None = None
    """the kernel's setting of transparent huge pages"""
    git: Git = field(default_factory=Git)

    @property
    def forced_kernels(self) -> dict[str, str]:
        """The set variables among `KERNEL_VARIABLES`."""
        return {name: self.variables[name] for name in KERNEL_VARIABLES if name in self.variables}


def read_environment() -> Environment:
    """The conditions of this process and its machine. Call it after the framework has been imported."""
    # Functions here import what only they need, since importing the recorder should cost little.
    return Environment(
        machine=_read_hardware(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages={name: _version(name) for name in PACKAGES},
        thread_pools=_read_thread_pools(),
        numpy_blas=_numpy_blas(),
        variables={name: os.environ[name] for name in (*THREAD_VARIABLES, *KERNEL_VARIABLES) if name in os.environ},
        git=_read_git(Path(__file__).resolve().parent),
        allocator=name_allocator(),
        keeps_memory=None if (allocator := read_allocator()) is None else allocator is Allocator.KEEP,
        memory_variables={name: os.environ[name] for name in MEMORY_VARIABLES if name in os.environ},
        huge_pages=read_huge_pages(),
    )


def _read_hardware() -> Machine:
    import psutil

    return Machine(
        system=f"{platform.system()} {platform.release()}",
        arch=platform.machine(),
        cpu=_cpu_model(),
        cores_physical=psutil.cpu_count(logical=False) or UNKNOWN,
        cores_logical=psutil.cpu_count() or UNKNOWN,
        cores_usable=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else UNKNOWN,
        cgroup_cpu_max=cpu_limit() or UNKNOWN,
        cgroup_memory_max=memory_limit() or UNKNOWN,
        memory_bytes=psutil.virtual_memory().total,
        governor=_first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        power=_power(),
    )


def _cpu_model() -> str:
    if sys.platform == "darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"])
    return next(iter(read_values("/proc/cpuinfo", "model name")), UNKNOWN)


def _power() -> str:
    import psutil

    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is None:
        return UNKNOWN
    return "mains" if battery.power_plugged else "battery"


def _read_thread_pools() -> tuple[ThreadPool, ...]:
    """Every BLAS and OpenMP library that is loaded, sorted by its description."""
    from threadpoolctl import threadpool_info

    names = [field.name for field in fields(ThreadPool)]
    known = [{name: pool[name] for name in names if pool.get(name) is not None} for pool in threadpool_info()]
    return tuple(ThreadPool(**pool) for pool in sorted(known, key=str))


def _numpy_blas() -> str:
    """The BLAS that NumPy was built with; threadpoolctl cannot detect Apple's Accelerate."""
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    return f"{blas.get('name', UNKNOWN)} {blas.get('version', '')}".strip()


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def read_commit(distribution: str | None) -> str | None:
    """The commit of a distribution that was not installed from a release; None if it was, or if that is unknown.

    Of an editable install, `git describe` of its checkout, with `-dirty` if it has changes; otherwise the commit that
    pip fetched (PEP 610).
    """
    import json
    from importlib import metadata
    from urllib.parse import unquote, urlsplit

    if distribution is None:
        return None
    try:
        text = metadata.distribution(distribution).read_text("direct_url.json")
        origin = json.loads(text or "{}")
        if commit := origin.get("vcs_info", {}).get("commit_id"):
            return str(commit)[:COMMIT_DIGITS]
        if not origin.get("dir_info", {}).get("editable"):
            return None
        folder = unquote(urlsplit(origin["url"]).path)
    except (metadata.PackageNotFoundError, ValueError, KeyError, AttributeError, TypeError):
        return None
    describe = ["describe", "--always", "--tags", "--dirty", f"--abbrev={COMMIT_DIGITS}"]
    described = _output(["git", "-C", folder, *describe])
    return None if described in ("", UNKNOWN) else described


def read_boot() -> str:
    """The host's boot, and the offsets of a container's own clocks: where both are equal, so is the monotonic clock.

    Empty if unknown.
    """
    if sys.platform == "darwin":
        boot = _output(["sysctl", "-n", "kern.bootsessionuuid"])
        return "" if boot == UNKNOWN else boot
    boot = (read_text("/proc/sys/kernel/random/boot_id") or "").strip()
    offsets = " ".join((read_text("/proc/self/timens_offsets") or "").split())
    return f"{boot} {offsets}".strip() if boot else ""


def _read_git(directory: Path) -> Git:
    commit = _output(["git", "-C", str(directory), "rev-parse", "HEAD"])
    status = _output(["git", "-C", str(directory), "status", "--porcelain"])
    return Git(commit=commit, dirty=UNKNOWN if UNKNOWN in (commit, status) else status != "")


def _output(command: list[str]) -> str:
    import subprocess

    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return result.stdout.strip()


def _first_line(path: str) -> str:
    text = read_text(path)
    return text.splitlines()[0] if text else UNKNOWN

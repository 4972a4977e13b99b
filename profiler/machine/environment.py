"""The conditions of a run. An allow-list: what is not named here is not recorded. Unknown stays "unknown"."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from threadpoolctl import threadpool_info

from epoch_gap.profiler.machine.cgroup import cpu_limit, memory_limit, read_text

UNKNOWN = "unknown"

KERNEL_VARIABLES = (
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES",
)  # fmt: skip
"""Environment variables that choose a library's kernels in place of the library."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "KMP_AFFINITY", "KMP_BLOCKTIME",
)  # fmt: skip
"""Environment variables that move the speed of BLAS or OpenMP; recorded where they are set."""

PACKAGES = ("numpy", "torch", "torchvision", "lucid-dl", "mlx", "scipy", "tqdm")


def collect() -> dict[str, Any]:
    """What is known of this process and its machine, as JSON. Call it when the framework has been loaded."""
    return {
        "machine": _machine(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "thread_pools": _thread_pools(),
        "numpy_blas": _numpy_blas(),
        "variables": {
            name: os.environ[name] for name in (*THREAD_VARIABLES, *KERNEL_VARIABLES) if name in os.environ
        },
        "git": _git(Path(__file__).parent),
    }


def _machine() -> dict[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}",
        "arch": platform.machine(),
        "cpu": _cpu_model(),
        "cores_physical": psutil.cpu_count(logical=False) or UNKNOWN,
        "cores_logical": psutil.cpu_count() or UNKNOWN,
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else UNKNOWN,
        "cgroup_cpu_max": cpu_limit() or UNKNOWN,
        "cgroup_memory_max": memory_limit() or UNKNOWN,
        "memory_bytes": psutil.virtual_memory().total,
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "power": _power(),
    }


def _cpu_model() -> str:
    if sys.platform == "darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"])
    return next(_values("/proc/cpuinfo", "model name"), UNKNOWN)


def _values(path: str, key: str) -> Iterator[str]:
    text = read_text(path) or ""
    return (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(key))


def _power() -> str:
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is None:
        return UNKNOWN
    return "mains" if battery.power_plugged else "battery"


def _thread_pools() -> list[dict[str, Any]]:
    """Each BLAS and OpenMP library really loaded, with its threads and the kernel that it chose."""
    wanted = (
        "user_api",
        "internal_api",
        "prefix",
        "version",
        "num_threads",
        "architecture",
        "threading_layer",
    )
    pools = [{key: pool[key] for key in wanted if pool.get(key) is not None} for pool in threadpool_info()]
    return sorted(pools, key=str)


def _numpy_blas() -> str:
    """The BLAS that NumPy was built with: threadpoolctl does not see Apple's Accelerate."""
    config: Any = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    return f"{blas.get('name', UNKNOWN)} {blas.get('version', '')}".strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git(directory: Path) -> dict[str, Any]:
    commit = _output(["git", "-C", str(directory), "rev-parse", "HEAD"])
    status = _output(["git", "-C", str(directory), "status", "--porcelain"])
    return {"commit": commit, "dirty": UNKNOWN if UNKNOWN in (commit, status) else status != ""}


def _output(command: list[str]) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return result.stdout.strip()


def _first_line(path: str) -> str:
    text = read_text(path)
    return text.splitlines()[0] if text else UNKNOWN

import json
from pathlib import Path

import numpy as np
import pytest

from epoch_gap.profiler.machine import cgroup, environment
from epoch_gap.profiler.machine.environment import read_environment
from epoch_gap.profiler.storage.manifest import environment_to_json


def test_only_allowed_conditions_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "do-not-store-me")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    text = json.dumps(environment_to_json(read_environment()))
    assert "do-not-store-me" not in text
    assert str(Path.home()) not in text
    assert '"OPENBLAS_CORETYPE": "Haswell"' in text


def test_the_blas_that_numpy_really_uses_is_named() -> None:
    np.ones((8, 8)) @ np.ones((8, 8))
    found = read_environment()
    pools = [pool for pool in found.thread_pools if pool.user_api == "blas"]
    assert all(pool.num_threads is not None and pool.num_threads >= 1 for pool in pools)
    assert pools or "accelerate" in str(found.numpy_blas).lower()


def test_unreadable_values_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "read_text", lambda path: None)
    monkeypatch.setattr(cgroup, "read_text", lambda path: None)
    machine = read_environment().machine
    assert machine.governor == machine.cgroup_cpu_max == "unknown"

"""Adapters of another project: the files of tests/outside_adapters."""

import importlib.util
from typing import Any

from epoch_gap.workloads.adapters.functional_adapter import FunctionalAdapter
from epoch_gap.workloads.architecture import Architecture, resnet18
from tests.helpers.adapters import SEED
from tests.helpers.paths import ROOT

FOLDER = ROOT / "tests" / "outside_adapters"


def outside_class(module: str, name: str) -> Any:
    """A class of one of the files; the module is a new one, which no other test knows."""
    spec = importlib.util.spec_from_file_location(f"outside_{module}", FOLDER / f"{module}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return getattr(loaded, name)


def adapter_of(core: Any, compiled: bool = False, architecture: Architecture = resnet18) -> FunctionalAdapter:
    """The adapter of a core on the CPU."""
    return FunctionalAdapter(core("cpu", architecture), core.__name__, SEED, compiled)

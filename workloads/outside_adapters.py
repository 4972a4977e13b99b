"""Adapters from outside the project: a class by `package.module:Class`, or by the name of an entry point."""

import inspect
import re
import sys
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from epoch_gap.profiler.errors import UserError, one_line
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.functional import FunctionalCore, choose_device, overrides

GROUP = "epoch_gap.frameworks"
"""the group of the entry points"""
FORM = "MODULE:CLASS"
_SPELLED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_MEMBERS = [name for name in vars(Framework) if not name.startswith("_")]


def is_outside_name(name: str) -> bool:
    """Whether `name` has the form of a class, or is the name of an entry point. Imports nothing."""
    return bool(_SPELLED.fullmatch(name)) or name in entry_points(group=GROUP).names


def load_class(name: str) -> Any:
    """The class that `name` stands for; modules of the current directory can be imported.

    Raises UserError if there is none, or if it is a `FunctionalCore` that lacks functions.
    """
    if not is_outside_name(name):
        raise UserError(f"no framework {name!r}: neither {FORM} nor an entry point of the group {GROUP}")
    spelled = name if ":" in name else entry_points(group=GROUP)[name].value
    module, _, attribute = spelled.partition(":")
    here = str(Path.cwd())
    if not {"", here} & {*sys.path}:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), attribute, None)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name}: {module} cannot be imported: {type(error).__name__}: {one_line(error)}") from None
    if not isinstance(found, type):
        raise UserError(f"{name}: {module} has no class {attribute}")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise UserError(f"{name} lacks {', '.join(missing)}; see docs/add-a-framework.md")
    return found


def can_compile(kind: type) -> bool:
    """Whether the class supports `--compile`."""
    return issubclass(kind, FunctionalCore) and overrides(kind, "compile")


def build_adapter(
    kind: Any, name: str, device: str, seed: int, compiled: bool, architecture: Architecture
) -> Framework:
    """The adapter of a class: a core gets the chosen device, any other class the device as asked for, and the seed.

    Both get the description of the network.

    Raises UserError for a device that is not there, and for a class that is no adapter.
    """
    if issubclass(kind, FunctionalCore):
        from epoch_gap.workloads.adapters.functional_adapter import FunctionalAdapter

        return FunctionalAdapter(_call(kind, name, choose_device(kind, device), architecture), name, seed, compiled)
    framework: Any = _call(kind, name, device, seed, architecture)
    if missing := [member for member in _MEMBERS if member != "name" and not hasattr(framework, member)]:
        raise UserError(f"{name} lacks {', '.join(missing)}; see docs/add-a-framework.md")
    framework.name = name
    adapter: Framework = framework
    return adapter


def _call(kind: Any, name: str, *arguments: Any) -> Any:
    try:
        call = partial(kind, *inspect.signature(kind).bind(*arguments).args)
    except TypeError as error:
        raise UserError(f"{name} cannot be called with {len(arguments)} argument(s): {error}") from None
    return call()

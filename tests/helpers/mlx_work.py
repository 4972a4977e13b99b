"""MLX's lazy computing, counted in operations: no result depends on how long anything takes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from gc import get_referents
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from tests.helpers.clocks import ScriptedClock

LEAVES = (type, ModuleType, FunctionType, BuiltinFunctionType, str, bytes, int, float)
"""objects that hold no array of a training step"""


def reachable_arrays(*roots: object) -> list[mx.array]:
    """Every array that these objects hold, directly or through others."""
    visited: set[int] = set()
    arrays, open_objects = [], list(roots)
    while open_objects:
        found = open_objects.pop()
        if id(found) in visited or isinstance(found, LEAVES):
            continue
        visited.add(id(found))
        if isinstance(found, mx.array):
            arrays.append(found)
        else:
            open_objects += get_referents(found)
    return arrays


def pending_operations(arrays: list[mx.array]) -> int:
    """Operations that MLX has yet to compute for these arrays."""
    graph = io.StringIO()
    if arrays:
        mx.export_to_dot(graph, *arrays)
    return graph.getvalue().count("shape=rectangle")


@contextmanager
def operations_move(clock: ScriptedClock) -> Iterator[None]:
    """Let `mx.eval` alone move the clock: 1 ns for each operation that it computes."""
    evaluate = mx.eval

    def counted(*trees: Any) -> None:
        clock.advance(pending_operations([leaf for _, leaf in tree_flatten(trees) if isinstance(leaf, mx.array)]))
        evaluate(*trees)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mx, "eval", counted)
        yield

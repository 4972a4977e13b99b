"""Comparing JSON and CSV whose last digits depend on the CPU."""

import csv
import io
from typing import Any

import pytest


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf of JSON values by its path."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in leaves(inner, f"{path}.{key}").items()}
    if isinstance(value, list):
        return {k: v for i, inner in enumerate(value) for k, v in leaves(inner, f"{path}[{i}]").items()}
    return {path: value}


def cells(text: str) -> dict[str, Any]:
    """Every cell of a CSV by row and column, as a number if it is one."""
    rows = list(csv.DictReader(io.StringIO(text)))
    return {f"[{i}].{column}": _number(cell) for i, row in enumerate(rows) for column, cell in row.items()}


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def differences(expected: dict[str, Any], actual: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The leaves that differ by more than the last digits, as (expected, actual)."""
    return {
        path: (expected.get(path), actual.get(path))
        for path in expected.keys() | actual.keys()
        if not _is_equal(expected.get(path), actual.get(path))
    }


def _is_equal(a: Any, b: Any) -> bool:
    return bool(a == pytest.approx(b, rel=1e-9)) if isinstance(a, float) else a == b

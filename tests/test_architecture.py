"""Who may import whom, read from the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

HEAVY = {"torch", "torchvision", "lucid", "mlx", "matplotlib", "plotly", "jinja2", "pandas", "pyarrow"}
ADAPTERS = {
    "torch_resnet": {"torch", "torchvision"}, "lucid_resnet": {"lucid", "mlx"}, "mlx_resnet": {"mlx"}, "fake": set(),
}  # fmt: skip
COMPANIONS = {
    "torch_spans": {"torch", "torchvision"}, "lucid_spans": {"lucid", "mlx"}, "mlx_spans": {"mlx"},
}  # fmt: skip
"""an adapter's own, imported by it alone"""
SOURCES = sorted(path for name in ("profiler", "workloads", "reports") for path in (ROOT / name).rglob("*.py"))
each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def tops(path: Path) -> set[str]:
    """The packages that a module imports: ours by their folder's name."""
    return {name.removeprefix("epoch_gap.").partition(".")[0] for name in imports(path)}


@each_source
def test_imports_point_one_way(path: Path) -> None:
    package, *rest = path.relative_to(ROOT).parts
    found = tops(path)
    if package == "profiler" and rest[0] not in ("commands", "__main__.py"):
        assert not found & {"workloads", "reports", *HEAVY}
    if package == "workloads":
        assert "reports" not in found
        allowed = {**ADAPTERS, **COMPANIONS}.get(path.stem, {"torchvision"} if path.stem == "download" else set())
        assert found & HEAVY <= allowed
    if package == "reports":
        assert not found & {"workloads", *HEAVY} - {"matplotlib", "plotly", "jinja2", "pyarrow"}


@each_source
def test_no_adapter_imports_another_and_only_the_registry_imports_adapters(path: Path) -> None:
    adapters = {f"epoch_gap.workloads.adapters.{name}" for name in ADAPTERS if name != "fake"}
    if path.stem != "registry":
        assert not adapters & set(imports(path))


@each_source
def test_no_framework_is_named_in_a_condition_outside_its_adapter(path: Path) -> None:
    if path.stem in ADAPTERS or path.stem == "registry":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare | ast.MatchValue):
            constants = {c.value for c in ast.walk(node) if isinstance(c, ast.Constant)}
            assert not constants & {"lucid", "torch", "mlx", "fake"}, f"line {node.lineno}"


def test_the_recorder_needs_the_standard_library_alone() -> None:
    ours = {"profiler"}
    standard = {"time", "collections", "dataclasses", "typing"}
    assert tops(ROOT / "profiler" / "recording" / "recorder.py") <= ours | standard


def test_only_the_store_touches_run_files() -> None:
    users = [path.name for path in SOURCES if "sqlite3" in tops(path)]
    assert users == ["store.py"]


def test_the_makefiles_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.M)
    assert phony is not None
    assert set(phony[1].split()) == set(re.findall(r"^([a-z-]+):.*## ", text, re.M))


def test_pins_carry_no_addresses() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert all(re.match(r"^[a-z0-9._-]+==\S+( ; .*)?$", line) for line in pins)
    assert "://" not in "".join(lines)

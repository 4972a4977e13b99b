"""The architecture: who may import whom, read from the sources and from docs/architecture.md."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

ORDER = (
    *("recording", "machine", "storage", "analysis", "comparison", "drilldown", "matrix", "experiments", "learning"),
    *("distributed", "parity", "callbacks", "commands"),
)
"""Each package of profiler/ may import those before it."""
FRAMEWORKS = {
    "torch_resnet": {"torch"},
    "torch_networks": {"torch", "torchvision"},
    "torch_spans": {"torch"},
    "torch_parity": {"torch"},
    "torch_ranks": {"torch"},
    "mlx_ranks": {"mlx"},
    "mlx_launch": {"mlx"},
    "lucid_resnet": {"lucid", "mlx"},
    "lucid_networks": {"lucid"},
    "lucid_spans": {"lucid", "mlx"},
    "lucid_parity": {"lucid", "mlx"},
    "mlx_resnet": {"mlx"},
    "mlx_network": {"mlx"},
    "mlx_spans": {"mlx"},
    "mlx_parity": {"mlx"},
    "torch_kernels": {"torch"},
    "torch_operations": {"torch"},
    "lucid_kernels": {"lucid"},
    "lucid_operations": {"lucid"},
    "jax_core": {"jax"},
    "jax_resnet": {"jax"},
    "keras_backend": {"keras"},
    "keras_core": {"keras"},
    "keras_parity": {"keras"},
    "keras_torch": {"torch"},
    "keras_jax": {"jax"},
    "download": {"torchvision"},
}
"""The frameworks that a module of workloads/ may import; no other module may import any."""
EXPERIMENTS = ROOT / "workloads" / "experiments"
"""the only modules that may join two frameworks, which they import within functions"""
TRAINERS = {"lightning", "pytorch_lightning", "transformers", "accelerate"}
"""A module of profiler/callbacks/ may import the one that it is named after."""
HEAVY = {"torch", "torchvision", "lucid", "mlx", "jax", "keras", "tinygrad"}
HEAVY |= {"matplotlib", "plotly", "jinja2", "pandas", "pyarrow", *TRAINERS}
SOURCES = sorted(path for top in ("profiler", "workloads", "reports") for path in (ROOT / top).rglob("*.py"))
each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
each_test = pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.stem)


def imported_modules(path: Path) -> Iterator[str]:
    """The dotted names that a module imports; ours without the prefix `epoch_gap.`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            module = node.module.removeprefix("epoch_gap.")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def imported_tops(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in imported_modules(path)}


def package_of(path: Path) -> str:
    """`profiler/storage` for a module in it, `workloads` and `reports` for any module below them."""
    top, *rest = path.relative_to(ROOT).parts
    is_package = top == "profiler" and (ROOT / top / rest[0]).is_dir()
    return f"{top}/{rest[0]}" if is_package else top


def imported_packages(path: Path) -> set[str]:
    modules = [module.split(".") for module in imported_modules(path)]
    ours = [parts for parts in modules if parts[0] in ("profiler", "workloads", "reports")]
    return {f"profiler/{parts[1]}" if parts[:1] == ["profiler"] and parts[1] in ORDER else parts[0] for parts in ours}


@each_source
def test_a_package_imports_only_the_packages_below_it(path: Path) -> None:
    package, imported = package_of(path), imported_packages(path)
    if package == "profiler/commands" or path.name == "__main__.py":
        return  # the top of the house
    assert "profiler/commands" not in imported
    if package.startswith("profiler"):
        assert not imported & {"workloads", "reports"}
    for lower, higher in pairwise(ORDER):
        if package == f"profiler/{lower}":
            assert not imported & {f"profiler/{name}" for name in ORDER[ORDER.index(higher) :]}
    assert not (package == "workloads" and "reports" in imported)
    assert not (package == "reports" and "workloads" in imported)


@each_source
def test_only_adapters_and_callbacks_import_frameworks_and_only_reports_import_plotting(path: Path) -> None:
    allowed = FRAMEWORKS.get(path.stem, set()) if package_of(path) == "workloads" else set()
    if package_of(path) == "profiler/callbacks":
        allowed = {path.stem}
    if path.parent == EXPERIMENTS:
        allowed = {"torch", "lucid", "mlx"}
    if path.stem == "parquet":
        allowed = {"pyarrow"}
    if package_of(path) == "reports":
        allowed = {"matplotlib", "plotly", "jinja2", "pyarrow"}
    assert imported_tops(path) & HEAVY <= allowed


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.py")), ids=lambda path: path.stem)
def test_an_experiment_imports_frameworks_only_when_it_is_applied(path: Path) -> None:
    at_once = {node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)}
    modules = {alias.name for node in at_once for alias in node.names}
    modules |= {node.module for node in at_once if isinstance(node, ast.ImportFrom) and node.module}
    assert not {module.partition(".")[0] for module in modules} & HEAVY
    kinds = ("_kernels", "_operations", "_spans", "_resnet", "_network", "_networks")
    assert not [module for module in modules if ".adapters." in module and module.endswith(kinds)]


@each_source
def test_no_module_imports_an_experiment_by_name(path: Path) -> None:
    names = {file.stem for file in EXPERIMENTS.glob("*.py")} - {"__init__"}
    prefix = "workloads.experiments."
    imported = {module.removeprefix(prefix) for module in imported_modules(path) if module.startswith(prefix)}
    assert not {module.partition(".")[0] for module in imported} & names


@each_source
def test_no_verb_imports_a_verb(path: Path) -> None:
    verbs = {
        f"profiler.commands.{file.stem}"
        for file in (ROOT / "profiler" / "commands").glob("*.py")
        if "def execute(" in file.read_text() and file.stem != "main"
    }
    assert len(verbs) >= 14
    assert not {module.rpartition(".")[0] for module in imported_modules(path)} & verbs
    assert not set(imported_modules(path)) & verbs


@each_source
def test_only_the_registry_imports_an_adapter(path: Path) -> None:
    adapters = {f"workloads.adapters.{name}_resnet" for name in ("torch", "lucid", "mlx", "jax")}
    adapters |= {f"workloads.adapters.keras_{backend}" for backend in ("torch", "jax")}
    if path.stem not in ("registry", "torch_ranks", "mlx_ranks"):  # a rank is its framework's adapter, and more
        assert not {module.rpartition(".")[0] for module in imported_modules(path)} & adapters


@each_source
def test_no_framework_is_named_in_a_condition_outside_its_adapter(path: Path) -> None:
    if path.parent.name == "adapters" or path.stem == "registry":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Compare | ast.MatchValue):
            constants = {c.value for c in ast.walk(node) if isinstance(c, ast.Constant)}
            assert not constants & {"lucid", "torch", "mlx", "jax", "keras_torch", "keras_jax", "fake"}, (
                f"line {node.lineno}"
            )


@each_test
def test_no_test_module_imports_another(path: Path) -> None:
    assert not [m for m in imported_modules(path) if m.startswith("tests.") and ".test_" in m]


def test_the_recorder_needs_only_the_standard_library() -> None:
    standard = {"time", "collections", "contextlib", "dataclasses", "enum", "math", "operator", "resource", "typing"}
    for path in (ROOT / "profiler" / "recording").glob("*.py"):
        assert imported_tops(path) <= {"profiler", *standard}


def test_only_the_storage_touches_run_files() -> None:
    users = [path.relative_to(ROOT).as_posix() for path in SOURCES if "sqlite3" in imported_tops(path)]
    assert {Path(user).parent.as_posix() for user in users} == {"profiler/storage"}


def test_a_timed_process_loads_neither_comparison_nor_reports() -> None:
    program = "import sys, epoch_gap.profiler.commands.run; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = output.split()
    assert "epoch_gap.profiler.storage.writer" in loaded
    assert not [m for m in loaded if m.startswith(("epoch_gap.profiler.comparison.", "epoch_gap.reports"))]
    assert not {m.partition(".")[0] for m in loaded} & HEAVY


def test_importing_the_recorder_imports_little() -> None:
    """How long it takes is in `make bench`. msgspec is what the store's digests need."""
    program = "import sys, epoch_gap.profiler.instrument; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = set(output.split())
    assert "epoch_gap.profiler.storage.writer" in loaded
    late = {"psutil", "threadpoolctl", "importlib.metadata", "subprocess", "tempfile", "shutil", "random", "zipfile"}
    assert not loaded & (HEAVY | {"numpy", "scipy"} | late)


def test_the_diagram_of_the_architecture_is_true() -> None:
    """Every line `package -> packages` in docs/architecture.md lists exactly the packages that are imported."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    drawn = {
        package: set(imported.split(", ")) for package, imported in re.findall(r"^(\S+) +-> +(.+?)$", text, re.M)
    }
    real: dict[str, set[str]] = {}
    for path in SOURCES:
        real.setdefault(package_of(path), set()).update(imported_packages(path) - {package_of(path)})
    above_the_rest = real.pop("profiler")  # instrument.py and __main__.py
    assert above_the_rest <= {"profiler/commands", "profiler/recording", "profiler/machine", "profiler/storage"}
    assert drawn == {package: imported for package, imported in real.items() if imported}


def test_the_makefiles_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.M)
    assert phony is not None
    assert set(phony[1].split()) == set(re.findall(r"^([a-z-]+):.*## ", text, re.M))


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-matrix.txt", "requirements-frameworks.txt"])
def test_pins_carry_no_addresses(file: str) -> None:
    lines = (ROOT / file).read_text().splitlines()
    pins = [line for line in lines if line and not line.lstrip().startswith("#")]
    assert all(re.match(r"^[a-z0-9._-]+==\S+( ; .*)?$", line) for line in pins)
    assert "://" not in "".join(lines)

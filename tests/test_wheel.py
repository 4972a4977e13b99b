"""The wheel: installed outside the checkout, beside files of the user's that have our modules' names."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers.paths import ROOT

LOOP = """
import sys
from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
with recording("runs", "mine", "1", {Phase.FORWARD: "nothing"}, batch_size=1, train_images=10) as recorder:
    recorder.start_epoch(0)
    for _ in range(10):
        recorder.mark(Phase.FORWARD)
        recorder.close_step(1, 1.0, 1)
    recorder.close_epoch()
heavy = {"torch", "lucid", "mlx", "lightning", "pytorch_lightning", "transformers", "accelerate"}
heavy |= {"matplotlib", "plotly", "pandas", "pyarrow", "jinja2"}
print(sorted(heavy & set(sys.modules)))
print(sys.modules["epoch_gap.profiler.instrument"].__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and the packages that it needs, and nothing of the checkout before it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = Path(subprocess.run([python, "-c", query], capture_output=True, text=True, check=True).stdout.strip())
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(own)
    (own / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_has_one_import_name_and_ranges(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith("dist-info/METADATA"))
        needs = Parser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist", [])
        (scripts,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "epoch-gap = epoch_gap.profiler.commands.main:main" in archive.read(scripts).decode()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"epoch_gap"}
    assert "epoch_gap/reports/page/templates/page.html" in names
    assert "epoch_gap/profiler/commands/shared/Snakefile" in names
    core = [need for need in needs if "extra ==" not in need]
    assert core
    assert all(">=" in need and "==" not in need for need in core)
    assert not [
        need
        for need in core
        if need.startswith(("torch", "lucid", "mlx", "lightning", "transformers", "line", "py-spy", "pandas"))
    ]


def test_a_users_files_do_not_shadow_it_and_the_recorder_needs_no_heavy_package(python: Path, tmp_path: Path) -> None:
    for name in ("profiler", "reports", "workloads"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the user's own')")
    (tmp_path / "loop.py").write_text(LOOP)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([python, "loop.py"], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    heavy, file = done.stdout.splitlines()
    assert heavy == "[]"
    assert Path(file).is_relative_to(python.parent.parent)
    command = [python, "-m", "epoch_gap.profiler", "report"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reports" / "out" / "index.html").is_file()
    assert advice([str(python), "-m", "epoch_gap.profiler"], tmp_path, environment) == "`epoch-gap list`"


def test_advice_in_the_checkout_names_the_command_that_works_there(tmp_path: Path) -> None:
    assert advice([sys.executable, "-m", "profiler"], ROOT, dict(os.environ), tmp_path) == "`python -m profiler list`"


def advice(command: list[str], cwd: Path, environment: dict[str, str], runs: Path = Path("runs")) -> str:
    """The command that the program recommends after a run that does not exist."""
    words = [*command, "show", "no-such-run", "--runs-dir", str(runs)]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, env=environment)
    (advice,) = re.findall("`.*`", done.stderr)
    return advice


DEFAULT = ("dev", "lucid", "torch", "lightning", "transformers", "drilldown")
OTHERS = ("jax", "keras", "tinygrad")


def pins(file: str) -> dict[str, str]:
    """The pinned version of every package in a file of requirements."""
    lines = [line.partition(" ;")[0].split("==") for line in (ROOT / file).read_text().splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


@pytest.mark.parametrize(
    ("file", "extras"),
    [("requirements.txt", DEFAULT), ("requirements-frameworks.txt", OTHERS)],
    ids=["all", "others"],
)
def test_every_pinned_package_of_the_wheel_is_within_its_range(file: str, extras: tuple[str, ...]) -> None:
    """The Makefile installs these files; `make lock` resolves them from the ranges."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned, optional = pins(file), project["optional-dependencies"]
    needs = [*project["dependencies"], *(need for extra in extras for need in optional[extra])]
    for need in map(Requirement, needs):
        assert need.specifier.contains(pinned[canonicalize_name(need.name)]), need


def test_every_pinned_program_of_a_matrix_is_within_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for need in map(Requirement, project["optional-dependencies"]["matrix"]):
        assert need.specifier.contains(pins("requirements-matrix.txt")[need.name]), need

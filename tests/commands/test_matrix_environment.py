"""The requirements and pins of a matrix's environments."""

import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.shared import matrix_environment
from epoch_gap.profiler.commands.shared.matrix_environment import (
    NEEDED,
    Environments,
    constraints,
    environment_of,
    installed_versions,
)
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.matrix.matrix import Configuration

INSTALLED = {
    "lucid-dl": "2.16.0",
    "torch": "2.14.1",
    "triton": "3.8.0",
    "mlx": "0.32.4",
    "numpy": "2.5.5",
    "tqdm": "4.70",
}


def configuration(framework: str, version: str = "2.0", packages: tuple[str, ...] = ()) -> Configuration:
    return Configuration(framework=framework, version=version, device="cpu", batch_size=8, packages=packages)


def kept(framework: str, packages: tuple[str, ...] = ()) -> list[str]:
    spec = environment_of(configuration(framework, packages=packages))
    assert spec is not None
    return constraints(spec, INSTALLED)


def test_what_every_cell_needs_keeps_its_pin_unless_the_file_chooses_another_version() -> None:
    assert kept("torch") == ["numpy==2.5.5", "tqdm==4.70"]
    assert kept("lucid") == ["mlx==0.32.4", "numpy==2.5.5", "tqdm==4.70"]
    assert kept("mlx") == ["numpy==2.5.5", "tqdm==4.70"]
    assert kept("lucid", ("NumPy<2.3",)) == ["mlx==0.32.4", "tqdm==4.70"]


def test_requirements_are_the_version_the_pinned_rest_and_what_a_cell_imports() -> None:
    spec = environment_of(configuration("lucid", "2.11.0"))
    assert spec is not None
    assert spec.own == ("lucid-dl==2.11.0",)
    assert spec.pinned[-len(NEEDED) :] == NEEDED
    assert any(requirement.startswith("mlx[cpu] ;") for requirement in spec.pinned)
    assert environment_of(configuration("fake")) is None


@pytest.mark.parametrize(
    ("asked", "is_own"), [("", True), ("3.13", True), ("3.13.2", True), ("3.1", False), ("3.14", False)]
)
def test_this_python_serves_where_it_has_the_version_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: str, is_own: bool
) -> None:
    monkeypatch.setattr(platform, "python_version_tuple", lambda: ("3", "13", "2"))
    spec = environment_of(replace(configuration("torch"), python=asked))
    assert spec is not None
    assert spec.python == (str(Path(sys.executable).resolve()) if is_own else asked)


RESOLVE = """#!/bin/sh
case "$1 $2" in
  "pip compile")
    while [ "$1" != --output-file ]; do [ "$1" = --constraints ] && cp "$2" {copy}/pins; shift; done
    cp "$2" {copy}/preferred; cat > {copy}/requirements
    echo "torch==9.9" > "$2" ;;
  venv*) for last; do :; done; mkdir -p "$last/bin" ;;
esac
"""


def test_uv_prefers_all_pins_and_must_keep_those_of_every_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    uv.write_text(RESOLVE.format(copy=tmp_path))
    uv.chmod(0o755)
    monkeypatch.setattr(matrix_environment, "find_tool", lambda name: str(uv))
    monkeypatch.setattr(matrix_environment, "installed_versions", lambda: INSTALLED)
    spec = environment_of(configuration("torch", "9.9"))
    assert spec is not None
    environments = Environments(tmp_path / "environments", tmp_path / "cache")
    environments.make(spec, tmp_path / "log")
    assert (tmp_path / "requirements").read_text().splitlines() == ["torch==9.9", "torchvision", *NEEDED]
    assert (tmp_path / "preferred").read_text().splitlines() == [f"{k}=={v}" for k, v in INSTALLED.items()]
    assert (tmp_path / "pins").read_text().splitlines() == ["numpy==2.5.5", "tqdm==4.70"]
    assert environments.python(spec).parent.is_dir()
    assert [path.read_text() for path in (tmp_path / "environments").iterdir()] == ["torch==9.9\n"]


SAID = """Using Python 3.13
Building lucid-dl==2.13.1
error: Failed to build `lucid-dl==2.13.1`
  cause: The build backend returned an error
         copying lucid/error.py -> build
         base.cpp:1:10: fatal error: base.hpp: No such file or directory
         error: command failed: a very long line
"""


def test_uvs_message_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, uv, log = tmp_path / "said", tmp_path / "uv", tmp_path / "log"
    said.write_text(SAID)
    uv.write_text(f"#!/bin/sh\ncat {said} >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setattr(matrix_environment, "find_tool", lambda name: str(uv))
    spec = environment_of(configuration("torch", "9.9"))
    assert spec is not None
    environments = Environments(tmp_path / "environments", tmp_path / "cache")
    with pytest.raises(UserError) as raised:
        environments.make(spec, log)
    assert str(raised.value) == (
        "uv pip: Failed to build `lucid-dl==2.13.1`; cause: The build backend returned an error; "
        "base.cpp:1:10: fatal error: base.hpp: No such file or directory; command failed: a very long line"
    )
    assert log.read_text().startswith("$ uv pip compile")
    with pytest.raises(UserError, match=r"environment of torch 9\.9 was not made"):
        environments.python(spec)


def test_the_pins_are_those_of_this_processs_environment() -> None:
    versions = installed_versions()
    assert versions["numpy"].startswith("2.")
    assert "+" not in "".join(versions.values())


ONLY_NEEDED = """
import sys
from importlib.metadata import packages_distributions
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if not allowed.issuperset(top.get(name.partition(".")[0], ())):
            raise ImportError(name)
top = packages_distributions()
allowed = {*sys.argv[1:], "epoch-gap", "setuptools"}
sys.meta_path.insert(0, Refuse())
import epoch_gap.profiler.commands.layers, epoch_gap.profiler.commands.main, epoch_gap.profiler.commands.run
from epoch_gap.profiler.analysis.stats import t_quantile
print(t_quantile(0.9, 3) > 0)
"""


def test_a_cell_imports_no_package_that_its_environment_lacks() -> None:
    done = subprocess.run([sys.executable, "-c", ONLY_NEEDED, *NEEDED], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("True\n", "")

"""The requirements and pins of a matrix's environments."""

import subprocess
import sys
from pathlib import Path

import pytest

from epoch_gap.profiler.commands.shared import matrix_environment
from epoch_gap.profiler.commands.shared.matrix_environment import (
    NEEDED,
    Environments,
    constraints,
    environment_of,
    exactly_pinned,
    installed_versions,
)
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.matrix.matrix import Configuration

NEEDS = {
    "torch": ["sympy>=1.13", 'cuda-toolkit[cublas]==13.0.3 ; sys_platform == "linux"', "numpy"],
    "torchvision": ["torch==2.14.1", "numpy"],
    "cuda-toolkit": ['nvidia-cublas==13.1.* ; extra == "cublas"', 'nvidia-nccl==2 ; extra == "nccl"'],
    "lucid-dl": ["numpy>=2", "mlx>=0.29"],
    "mlx": ['mlx-cpu==0.32.4 ; extra == "cpu"', 'mlx-metal==0.32.4 ; sys_platform == "darwin"'],
}
INSTALLED = {
    **dict.fromkeys(NEEDS, "1.0"),
    **dict.fromkeys(("sympy", "numpy", "nvidia-cublas", "nvidia-nccl", "mlx-cpu", "tqdm"), "1.0"),
}


@pytest.fixture(autouse=True)
def known_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_environment, "requires", lambda name: NEEDS.get(name, []))
    monkeypatch.setattr(sys, "platform", "linux")


def configuration(framework: str, version: str = "2.0", packages: tuple[str, ...] = ()) -> Configuration:
    return Configuration(framework=framework, version=version, device="cpu", batch_size=8, packages=packages)


def free(framework: str, packages: tuple[str, ...] = ()) -> set[str]:
    spec = environment_of(configuration(framework, packages=packages))
    assert spec is not None
    pinned = {line.partition("==")[0] for line in constraints(spec, INSTALLED)}
    return INSTALLED.keys() - pinned


def test_only_a_framework_and_what_it_pins_exactly_choose_their_versions() -> None:
    assert free("torch") == {"torch", "torchvision", "cuda-toolkit", "nvidia-cublas"}
    assert free("lucid") == {"lucid-dl"}
    assert free("mlx") == {"mlx", "mlx-cpu"}


def test_a_requirement_of_the_file_replaces_the_pin() -> None:
    assert free("lucid", ("numpy==2.2.6",)) == {"lucid-dl", "numpy"}


def test_requirements_are_the_version_the_pinned_rest_and_what_a_cell_imports() -> None:
    spec = environment_of(configuration("lucid", "2.11.0"))
    assert spec is not None
    assert spec.own == ("lucid-dl==2.11.0",)
    assert spec.pinned[-len(NEEDED) :] == NEEDED
    assert any(requirement.startswith("mlx[cpu] ;") for requirement in spec.pinned)
    assert environment_of(configuration("fake")) is None


def test_a_cycle_of_exact_pins_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_environment, "requires", lambda name: ["b==1"] if name == "a" else ["a==1"])
    assert exactly_pinned([matrix_environment._parse("a==1")]) == {"a", "b"}


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

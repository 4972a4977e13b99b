"""An adapter is found by module and class or by an entry point, and anything else is refused in one line."""

from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads import outside_adapters, registry
from epoch_gap.workloads.registry import Options


def build(name: str, **options: Any) -> Any:
    return registry.build(name, Options(seed=7, batch_size=4, **options))


@pytest.mark.usefixtures("outside")
def test_a_class_of_the_current_directory_is_an_adapter_with_the_name_it_was_given() -> None:
    assert (build("constant:Constant").name, build("constant:Constant").title) == ("constant:Constant", "Constant")
    complete = build("constant:Complete")
    assert (complete.name, complete.title) == ("constant:Complete", "scripted fake")


@pytest.mark.usefixtures("outside")
def test_an_entry_point_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints([EntryPoint("steady", "constant:Constant", outside_adapters.GROUP)])
    monkeypatch.setattr(outside_adapters, "entry_points", lambda group: points.select(group=group))
    assert build("steady").name == "steady"
    assert registry.is_known("steady")
    assert not registry.is_known("unsteady")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "nowhere:Class",
            "nowhere:Class: nowhere cannot be imported: ModuleNotFoundError: No module named 'nowhere'",
        ),
        ("broken:Class", "broken:Class: broken cannot be imported: SyntaxError: "),
        (
            "needing:Class",
            "needing:Class: needing cannot be imported: ModuleNotFoundError: No module named 'nothing'",
        ),
        ("constant:Variable", "constant:Variable: constant has no class Variable"),
        ("constant:no_class", "constant:no_class: constant has no class no_class"),
        ("constant:Lacking", "constant:Lacking lacks loss_and_gradients, read, to_device, wait; see docs/add-a-"),
        (
            "constant:NoAdapter",
            "constant:NoAdapter lacks title, version, distribution, device, architecture, phases, ",
        ),
        ("constant:NoArguments", "constant:NoArguments cannot be called with 3 argument(s): "),
        ("constant", "no framework 'constant'; choose one of: lucid, torch, mlx, "),
        (":Class", "no framework ':Class'; choose one of: "),
    ],
)
def test_what_is_no_adapter_is_refused_in_one_line(name: str, line: str, outside: Path) -> None:
    (outside / "broken.py").write_text("class")
    (outside / "needing.py").write_text("import nothing")
    with pytest.raises(UserError) as error:
        build(name)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("outside")
def test_an_adapter_compiles_if_it_has_the_function_and_has_no_script() -> None:
    assert build("constant:Splitting", compiled=True).describe()["execution"] == "lazy, the training step compiled"
    for name in ("constant:Constant", "constant:Complete"):
        with pytest.raises(UserError, match=f"--compile: {name} cannot compile its step"):
            build(name, compiled=True)
    with pytest.raises(UserError, match="--fake-lazy: constant:Constant has no scripted costs"):
        build("constant:Constant", lazy=True)


@pytest.mark.usefixtures("outside")
def test_a_device_that_an_adapter_does_not_have_is_refused() -> None:
    with pytest.raises(UserError, match="Constant has no device 'cuda' on this machine; choose auto or one of: cpu"):
        build("constant:Constant", device="cuda")


def test_a_framework_that_is_not_installed_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        build("keras_jax")
    assert str(error.value) == (
        "keras_jax: keras and jax not installed; `make frameworks` or pip install 'epoch-gap[keras,jax]' installs it"
    )
    with pytest.raises(UserError, match=r"^torch: torch not installed; `make setup` or pip install"):
        build("torch")


def test_the_project_installs_no_adapter_of_its_own_as_an_entry_point() -> None:
    assert not outside_adapters.entry_points(group=outside_adapters.GROUP).names & registry.FRAMEWORKS.keys()

"""Options are checked, and a framework refuses those that it does not support, in one line."""

import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads import registry
from epoch_gap.workloads.registry import MAX_SEED, Options
from tests.helpers.adapters import build


def test_an_unknown_framework_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="no framework 'caffe'; choose one of: lucid, torch, mlx, jax"):
        registry.build("caffe", Options())


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        (
            "torch",
            Options(compiled=True),
            "--compile: torch cannot compile its step; frameworks that can: mlx, jax, keras_jax",
        ),
        (
            "fake",
            Options(compiled=True),
            "--compile: fake cannot compile its step; frameworks that can: mlx, jax, keras_jax",
        ),
        ("torch", Options(lazy=True), "--fake-lazy: torch has no scripted costs; frameworks that have them: fake"),
        ("mlx", Options(costs=""), "--fake-costs: mlx has no scripted costs; frameworks that have them: fake"),
    ],
)
def test_an_option_that_a_framework_does_not_support_is_refused(name: str, options: Options, line: str) -> None:
    with pytest.raises(UserError) as error:
        registry.build(name, options)
    assert str(error.value) == line


@pytest.mark.parametrize("values", [{"seed": -1}, {"seed": MAX_SEED + 1}, {"batch_size": 0}])
def test_options_outside_their_range_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(UserError, match=r"is not|is less than"):
        Options(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "device"), [("torch", "gpu2"), ("lucid", "mps"), ("fake", "cuda")])
def test_a_device_that_does_not_exist_is_refused(name: str, device: str) -> None:
    with pytest.raises(UserError, match=f"has no device '{device}'.*choose auto"):
        build(name, device)


def test_a_network_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from epoch_gap.workloads.adapters.fake import Fake

    monkeypatch.setattr(Fake, "parameter_count", lambda self: 5)
    with pytest.raises(UserError, match="5 parameters; ResNet-18 has 11173962"):
        build("fake", "cpu")


def test_a_compiled_step_has_no_layers_to_time() -> None:
    assert registry.build("mlx", Options("cpu", compiled=True)).layer_timings is None

"""Watching starts after the plain steps, stops after the watched ones, and leaves nothing behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from epoch_gap.profiler.drilldown.spans import Spans
from epoch_gap.workloads import watched_steps
from epoch_gap.workloads.cifar10.load import Cifar10
from epoch_gap.workloads.framework import Watch
from epoch_gap.workloads.watched_steps import WARM_UP
from tests.helpers.adapters import BATCH, SIDES, build, images, layer_timings


class LayerError(Exception):
    """Raised inside a layer."""


def data(steps: int) -> Cifar10:
    x, y = images(watched_steps.images_needed(BATCH, steps))
    return Cifar10(x, y, x[:BATCH], y[:BATCH], "synthetic", "synthetic", "", None)


def test_plain_steps_come_first_then_the_same_number_watched_without_evaluation() -> None:
    framework = build("fake", "cpu")
    events: list[str] = []

    @contextmanager
    def watch(spans: Spans) -> Iterator[None]:
        events.append("start")
        with layer_timings(framework).layers(spans):
            yield
        events.append("stop")

    @contextmanager
    def evaluating() -> Iterator[None]:
        events.append("evaluate")
        yield

    framework.evaluating = evaluating  # type: ignore[method-assign]
    collected = watched_steps.train(framework, data(3), BATCH, 3, watch, quiet=True)
    assert [step.index for step in collected.plain] == [WARM_UP, WARM_UP + 1, WARM_UP + 2]
    assert [step.index for step in collected.watched] == [WARM_UP + 3, WARM_UP + 4, WARM_UP + 5]
    assert [{key.layer for key in step} for step in collected.spans.steps] == [{"fc"}] * 3
    assert events == ["start", "stop", "evaluate"]


def layers_of(framework: Any) -> Watch:
    return layer_timings(framework).layers


def operators_of(framework: Any) -> Watch:
    watch = layer_timings(framework).operators
    assert watch is not None
    return watch


WATCHED = [(name, device, layers_of) for name, device in SIDES] + [("torch", "cpu", operators_of)]


@pytest.mark.parametrize(
    ("name", "device", "choose"),
    WATCHED,
    ids=[f"{name}-{device}-{choose.__name__}" for name, device, choose in WATCHED],
)
def test_nothing_stays_patched_when_a_watched_step_raises(
    name: str, device: str, choose: Callable[[Any], Watch]
) -> None:
    framework: Any = build(name, device)
    is_watching = False

    def fail() -> None:
        if is_watching:
            raise LayerError

    @contextmanager
    def watch(spans: Spans) -> Iterator[None]:
        nonlocal is_watching
        opened.append(spans)
        with choose(framework)(spans):
            is_watching = True
            try:
                yield
            finally:
                is_watching = False

    opened: list[Spans] = []
    BREAK_LAYER[name](framework, fail)
    before = PATCHES[name](framework)
    with pytest.raises(LayerError) as error:  # its traceback keeps contexts from being closed by garbage collection
        watched_steps.train(framework, data(1), BATCH, 1, watch, quiet=True)
    assert PATCHES[name](framework) == before
    del error

    (spans,) = opened
    framework.train()
    seen = dict(spans._step), list(spans._open), dict(spans.totals)
    framework.backward(framework.forward(*framework.to_device(batch(framework)))[1])
    assert (spans._step, spans._open, spans.totals) == seen, "a later step is not watched"


@pytest.mark.parametrize(("name", "device"), SIDES, ids=map("-".join, SIDES))
def test_training_goes_on_after_an_evaluation_that_raises(name: str, device: str) -> None:
    framework = build(name, device)
    with pytest.raises(LayerError), framework.evaluating():
        raise LayerError
    framework.train()
    framework.backward(framework.forward(*framework.to_device(batch(framework)))[1])
    framework.step()
    framework.wait()


def batch(framework: Any) -> Any:
    return next(iter(framework.loader(*images(BATCH), BATCH, False, lambda collate: collate)))


def break_module(framework: Any, fail: Callable[[], None]) -> None:
    """Let a convolution in the middle of the network call `fail`."""
    layer = framework.model.layer2[0].conv1
    forward = layer.forward

    def failing(*args: Any) -> Any:
        fail()
        return forward(*args)

    layer.forward = failing


def break_mlx(framework: Any, fail: Callable[[], None]) -> None:
    import mlx.nn as nn

    class Failing(nn.Conv2d):  # type: ignore[misc]
        def __call__(self, x: Any) -> Any:
            fail()
            return super().__call__(x)

    dict(framework.model.named_layers())["layer2.0.conv1"].__class__ = Failing


def break_fake(framework: Any, fail: Callable[[], None]) -> None:
    spend = framework.spend

    def failing(phase: Any) -> None:
        if phase == "forward":
            fail()
        spend(phase)

    framework.spend = failing


def torch_patches(framework: Any) -> Any:
    import torch

    hooks = [
        len(hooks)
        for module in (*framework.model.modules(), framework._criterion)
        for hooks in (module._forward_pre_hooks, module._forward_hooks)
    ]
    return hooks, torch.autograd._profiler_enabled()


def lucid_patches(framework: Any) -> Any:
    from lucid._backend.core import BackwardOperation, Operation

    hooks = [
        len(hooks)
        for module in framework.model.modules()
        for hooks in (module._forward_pre_hooks, module._forward_hooks)
    ]
    return hooks, Operation.__call__, BackwardOperation.__call__


def mlx_patches(framework: Any) -> Any:
    return framework.model.run_layer


def fake_patches(framework: Any) -> Any:
    return framework.layer_timings._spans


BREAK_LAYER = {"torch": break_module, "lucid": break_module, "mlx": break_mlx, "fake": break_fake}
PATCHES = {"torch": torch_patches, "lucid": lucid_patches, "mlx": mlx_patches, "fake": fake_patches}

"""A delay in one layer or operator, on a clock that nothing else moves, appears in the right place."""

import json
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.drilldown import roofline
from epoch_gap.profiler.drilldown.layers import (
    category_differences,
    layer_differences,
    layers_from_json,
    layers_to_json,
)
from epoch_gap.profiler.drilldown.roofline import Layer, least_seconds, numpy_peak_rates, peak_rate
from epoch_gap.profiler.drilldown.spans import Direction, Key, Spans
from epoch_gap.profiler.drilldown.spans import OperatorCategory as Category
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads.architecture import resnet18
from tests.helpers.adapters import build, images, layer_timings, operators_watch
from tests.helpers.clocks import ScriptedClock
from tests.helpers.drilldowns import drilldown

MS = 1_000_000
REAL = [("torch", "cpu"), ("lucid", "cpu"), ("lucid", "gpu"), ("mlx", "cpu")]
by_forward = pytest.mark.parametrize(("name", "device"), REAL[:3], ids=map("-".join, REAL[:3]))
real = pytest.mark.parametrize(("name", "device"), REAL, ids=map("-".join, REAL))


def watched_step(framework: Any, spans: Spans) -> None:
    """One training step with every layer watched."""
    x, y = images(2)
    batch = next(iter(framework.loader(x, y, 2, False, lambda collate: collate)))
    framework.train()
    with layer_timings(framework).layers(spans):
        inputs, targets = framework.to_device(batch)
        framework.zero_grad()
        logits, loss = framework.forward(inputs, targets)
        framework.materialize(loss)
        framework.backward(loss)
        framework.step()
        framework.metrics(logits, loss, targets)
        spans.end_step()


Watched = Callable[[str, str], Spans]


@pytest.fixture(scope="module")
def watched() -> Watched:
    """The spans of two steps of a side, once for all tests of this module: the first step is watched."""

    @cache
    def train_once(name: str, device: str) -> Spans:
        framework, spans = build(name, device), Spans()
        watched_step(framework, spans)
        x, y = images(2)
        inputs, targets = framework.to_device(next(iter(framework.loader(x, y, 2, False, lambda collate: collate))))
        framework.backward(framework.forward(inputs, targets)[1])
        spans.end_step()
        return spans

    return train_once


def nonzero(spans: Spans) -> dict[tuple[str, str], int]:
    return {(k.direction, k.layer): ns for k, ns in spans.steps[0].items() if ns}


@real
def test_every_framework_names_every_layer_of_the_architecture(name: str, device: str, watched: Watched) -> None:
    spans = watched(name, device)
    expected = {layer.name for layer in resnet18.layers()}
    for direction in Direction:
        found = {key.layer for key in spans.steps[0] if key.direction is direction} - {"network"}
        assert found == expected


@by_forward
def test_a_delay_in_the_forward_pass_of_a_layer_appears_there(name: str, device: str, clock: ScriptedClock) -> None:
    framework: Any = build(name, device)
    layer = framework.model.layer2[0].conv1
    forward = layer.forward

    def slow(*args: Any) -> Any:
        clock.advance(7 * MS)
        return forward(*args)

    layer.forward = slow
    spans = Spans(clock)
    watched_step(framework, spans)
    assert nonzero(spans) == {("forward", "layer2.0.conv1"): 7 * MS}


def test_a_delay_in_the_backward_pass_of_a_layer_appears_there_in_torch(clock: ScriptedClock) -> None:
    import torch

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            clock.advance(9 * MS)
            return gradient

    framework: Any = build("torch", "cpu")
    layer = framework.model.layer3[1].bn2
    forward = layer.forward
    layer.forward = lambda x: Slow.apply(forward(x))
    spans = Spans(clock)
    watched_step(framework, spans)
    assert nonzero(spans) == {("backward", "layer3.1.bn2"): 9 * MS}


def test_a_delay_in_either_pass_of_a_layer_appears_there_in_mlx(clock: ScriptedClock) -> None:
    """The operators of MLX are the layers."""
    import mlx.core as mx
    import mlx.nn as nn

    class SlowForward(nn.Conv2d):  # type: ignore[misc]
        def __call__(self, x: Any) -> Any:
            clock.advance(7 * MS)
            return super().__call__(x)

    @mx.custom_function
    def same(x: Any) -> Any:
        return x

    @same.vjp
    def slow(x: Any, gradient: Any, result: Any) -> Any:
        clock.advance(9 * MS)
        return gradient

    class SlowBackward(nn.BatchNorm):  # type: ignore[misc]
        def __call__(self, x: Any) -> Any:
            return same(super().__call__(x))

    framework: Any = build("mlx", "cpu")
    layers = dict(framework.model.named_layers())
    layers["layer2.0.conv1"].__class__ = SlowForward
    layers["layer3.1.bn2"].__class__ = SlowBackward
    spans = Spans(clock)
    watched_step(framework, spans)
    assert {key: ns for key, ns in spans.steps[0].items() if ns} == {
        Key(Direction.FORWARD, "layer2.0.conv1", "layer2.0.conv1"): 7 * MS,
        Key(Direction.BACKWARD, "layer3.1.bn2", "layer3.1.bn2"): 9 * MS,
    }


def test_watching_mlx_changes_no_gradient_and_ends_each_phase_after_its_layers() -> None:
    from mlx.utils import tree_flatten

    framework: Any = build("mlx", "cpu")
    x, y = images(2)
    framework.train()
    inputs, targets = framework.to_device((x, y))

    def gradients() -> dict[str, Any]:
        framework.backward(framework.forward(inputs, targets)[1])
        return {name: np.array(array) for name, array in tree_flatten(framework._requested)}

    spans, ended = Spans(), []
    spans.mark = lambda phase: ended.append((phase, len(spans._step)))
    plain = gradients()
    with layer_timings(framework).layers(spans):
        watched = gradients()
    assert plain.keys() == watched.keys()
    for name, gradient in plain.items():
        np.testing.assert_allclose(watched[name], gradient, rtol=1e-4, atol=1e-6 * float(np.abs(gradient).max()))
    layers = len(list(resnet18.layers()))
    assert ended == [(Phase.FORWARD, layers), (Phase.BACKWARD, 2 * layers)]


DELAY = "delay"
"""the name of a range of torch.profiler"""


def scripted_profile() -> Any:
    """torch.profiler.profile on a clock that only ranges called DELAY move, by 1 ms each."""
    import torch

    def delays_in(event: Any) -> int:
        return (event.name == DELAY) + sum(map(delays_in, event.cpu_children))

    class ScriptedProfile(torch.profiler.profile):
        def events(self) -> Any:
            recorded = super().events()
            assert recorded is not None
            return [
                SimpleNamespace(name=e.name, cpu_parent=e.cpu_parent, cpu_time_total=1000 * delays_in(e))
                for e in recorded
            ]

    return ScriptedProfile


def test_a_delay_in_one_operators_backward_is_found_there_in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.profiler, "profile", scripted_profile())
    framework: Any = build("torch", "cpu")

    def delay(gradients: Any) -> None:
        with torch.profiler.record_function(DELAY):
            pass

    layer = framework.model.layer3[1].bn2
    layer.register_forward_hook(lambda module, args, output: output.grad_fn.register_prehook(delay) and None)
    framework.train()
    spans = Spans()
    inputs, targets = framework.to_device(next(iter(framework.loader(*images(2), 2, False, lambda collate: collate))))
    with operators_watch(framework)(spans):
        framework.backward(framework.forward(inputs, targets)[1])
    found = {key: ns for key, ns in spans.totals.items() if ns}
    ((key, ns),) = found.items()
    assert (key.direction, layer_timings(framework).category(key.operator), ns) == (
        Direction.BACKWARD,
        Category.NORMALISATION,
        MS,
    )


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_delay_in_the_backward_pass_of_an_operator_appears_there_in_lucid(
    device: str, clock: ScriptedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    framework: Any = build("lucid", device)
    from lucid.nn._kernel.norm import batch_norm_kernel

    backward = batch_norm_kernel.__grad__

    def slow(self: Any, *args: Any, **kwargs: Any) -> Any:
        clock.advance(MS)
        return backward(self, *args, **kwargs)

    monkeypatch.setattr(batch_norm_kernel, "__grad__", slow)
    spans = Spans(clock)
    watched_step(framework, spans)
    found = {key: ns for key, ns in spans.steps[0].items() if ns}
    norms = {layer.name for layer in resnet18.layers() if layer.category is Category.NORMALISATION}
    assert found == {Key(Direction.BACKWARD, name, "batch_norm_kernel"): MS for name in norms}


@real
def test_nothing_is_watched_after_the_context_is_left(name: str, device: str, watched: Watched) -> None:
    spans = watched(name, device)
    assert len(spans.steps[0]) > 60
    assert spans.steps[1] == {}


def test_a_drilldown_gives_the_share_of_the_phase_and_the_slowdown() -> None:
    d = drilldown({"fc": 2.0, "network": 0.25}, {"fc": 4.0})
    assert d.phase(Direction.FORWARD) == 2.0
    assert d.covered(Direction.FORWARD) == pytest.approx(2.25 / 2.5)
    assert d.covered(Direction.BACKWARD) == pytest.approx(1.0)
    assert d.slowdown == pytest.approx(6.5 / 5.0)


def test_a_stored_drilldown_reads_back_the_same() -> None:
    d = drilldown({"fc": 2.0}, {"fc": 4.0})
    stored = layers_to_json(d)
    assert layers_from_json(json.loads(json.dumps(stored))) == d
    assert stored["layers"][0]["family"] == stored["architecture"][-2]["family"] == "linear"
    assert stored["ceilings"] == d.peak_rates, "the stored names of an older version"
    broken: Any
    for broken in ({}, {"layers": []}, [], {**stored, "layers": [{"direction": "sideways"}]}):
        with pytest.raises(UserError):
            layers_from_json(broken)


def test_differences_start_with_the_largest_and_end_with_one_sided_layers() -> None:
    slow = drilldown({"fc": 2.0, "pool": 0.5, "extra": 9.0}, {"fc": 1.0})
    fast = drilldown({"fc": 1.5, "pool": 0.4}, {"fc": 0.2})
    found = [(d.direction, d.layer, d.seconds) for d in layer_differences(slow, fast)]
    assert found == [
        ("backward", "fc", pytest.approx(0.8)),
        ("forward", "fc", pytest.approx(0.5)),
        ("forward", "pool", pytest.approx(0.1)),
        ("forward", "extra", 0.0),
    ]


def test_the_shortest_time_is_the_longer_of_computing_and_moving() -> None:
    rates = {"NumPy GFLOP/s": 100.0, "torch GFLOP/s": 200.0, "NumPy GB/s": 10.0}
    assert peak_rate(rates, "GFLOP/s") == 200.0
    heavy = Layer("a", Category.CONVOLUTION, 10**9, 2 * 10**9, 100, 0)
    assert least_seconds(heavy, Direction.FORWARD, 2, rates) == pytest.approx(2e9 / 200e9)
    assert least_seconds(heavy, Direction.BACKWARD, 2, rates) == pytest.approx(4e9 / 200e9)
    light = Layer("b", Category.ACTIVATION, 10, 10, 10**6, 10**6)
    assert least_seconds(light, Direction.FORWARD, 2, rates) == pytest.approx((2 * 10**6 + 10**6) * 4 / 10e9)
    assert least_seconds(Layer("c", Category.ELEMENTWISE, 5, 0, 10**6, 0), Direction.BACKWARD, 2, rates) == 0


def test_peak_rates_are_measured_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best of several runs, each of which takes one look at a clock that ticks."""
    clock = iter(range(1_000))
    monkeypatch.setattr(roofline, "SIDE", 8)
    monkeypatch.setattr(roofline, "COPIED", 1_000)
    monkeypatch.setattr(roofline, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert numpy_peak_rates() == {"NumPy GFLOP/s": 2 * 8**3 / 1e9, "NumPy GB/s": 2 * 4 * 1_000 / 1e9}


def test_the_work_of_each_layer_follows_from_the_architecture() -> None:
    """By hand: a 3x3 convolution of 64 channels on 32x32 pixels is 64 x 64 x 9 x 1024 multiply-accumulates."""
    layers = {layer.name: layer for layer in resnet18.layers()}
    assert layers["layer1.0.conv1"].forward_flops == 2 * 64 * 64 * 9 * 1024
    assert layers["layer1.0.conv1"].backward_flops == 2 * layers["layer1.0.conv1"].forward_flops
    assert layers["stem.conv"].backward_flops == layers["stem.conv"].forward_flops == 2 * 3 * 64 * 9 * 1024
    assert layers["layer2.0.downsample.conv"].forward_flops == 2 * 64 * 128 * 16**2
    assert layers["fc"].forward_flops == 2 * 512 * 10
    assert sum(layer.weights for layer in layers.values()) == resnet18.parameter_count()
    products = [layer for layer in layers.values() if layer.category in (Category.CONVOLUTION, Category.LINEAR)]
    assert sum(layer.forward_flops for layer in products) / 2 == pytest.approx(0.555e9, rel=1e-3)


def test_torch_counts_the_same_work() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    framework: Any = build("torch", "cpu")
    x, y = images(2, side=32)
    inputs, targets = framework.to_device(next(iter(framework.loader(x, y, 2, False, lambda collate: collate))))
    with FlopCounterMode(display=False) as counter:
        loss = framework.forward(inputs, targets)[1]
        forward = counter.get_total_flops()
        framework.backward(loss)
    products = [x for x in resnet18.layers() if x.category in (Category.CONVOLUTION, Category.LINEAR)]
    assert forward == 2 * sum(layer.forward_flops for layer in products)
    assert counter.get_total_flops() - forward == 2 * sum(layer.backward_flops for layer in products)


def test_operator_categories_sum_to_their_phase_and_the_remainder_is_other() -> None:
    d = drilldown({"fc": 2.0, "pool": 0.25}, {"fc": 3.0})
    assert d.categories(Direction.FORWARD) == {
        Category.LINEAR: 2.25,
        Category.OTHER: pytest.approx(0.25),
    }
    assert d.categories(Direction.BACKWARD) == {
        Category.LINEAR: 3.0,
        Category.OTHER: pytest.approx(1.0),
    }


NO_CATEGORY = {"", "torch::autograd::AccumulateGrad", "aten::flatten", "ViewBackward0", "_mT", "_reshape_immediate"}
"""operators outside every category: a layer's own Python, views, and the accumulation of a weight's gradient"""


@real
def test_every_operator_of_the_network_has_a_category(name: str, device: str) -> None:
    framework = build(name, device)
    spans = Spans()
    x, y = images(2)
    framework.train()
    batch = next(iter(framework.loader(x, y, 2, False, lambda collate: collate)))
    with operators_watch(framework)(spans):
        inputs, targets = framework.to_device(batch)
        framework.backward(framework.forward(inputs, targets)[1])
    spans.end_step()
    for direction in Direction:
        operators = {key.operator for key in {**spans.steps[0], **spans.totals} if key.direction is direction}
        categories = {operator: layer_timings(framework).category(operator) for operator in operators}
        assert {operator for operator, category in categories.items() if category is Category.OTHER} <= NO_CATEGORY
        assert set(categories.values()) >= {
            Category.CONVOLUTION,
            Category.NORMALISATION,
            Category.ACTIVATION,
            Category.POOLING,
            Category.LINEAR,
            Category.LOSS,
        }


def test_operator_categories_are_compared_in_directions_that_both_sides_watched() -> None:
    found = category_differences(drilldown({"fc": 2.0}, {"fc": 3.0}), drilldown({"fc": 0.5}, {}))
    assert [(d.direction, d.category) for d in found] == [
        (Direction.FORWARD, Category.LINEAR),
        (Direction.FORWARD, Category.OTHER),
    ]
    assert [d.seconds for d in found] == pytest.approx([1.5, -1.5]), "both phases take 2.5 s while watched"

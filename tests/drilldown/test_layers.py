"""Known truth: a delay in one layer or operator, on a clock that nothing else moves, is found where it was put."""

import json
import time
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.drilldown.layers import (
    differences,
    family_differences,
    from_json,
    to_json,
)
from epoch_gap.profiler.drilldown.roofline import Layer, least_seconds, numpy_ceilings, peak
from epoch_gap.profiler.drilldown.spans import Direction, Family, Key, Spans
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.phases import Phase
from epoch_gap.workloads import resnet18
from tests.helpers.adapters import build, images
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
    with framework.layers(spans):
        inputs, targets = framework.to_device(batch)
        framework.zero_grad()
        logits, loss = framework.forward(inputs, targets)
        framework.materialize(loss)
        framework.backward(loss)
        framework.step()
        framework.metrics(logits, loss, targets)
        spans.end_step()


def nonzero(spans: Spans) -> dict[tuple[str, str], int]:
    return {(k.direction, k.layer): ns for k, ns in spans.steps[0].items() if ns}


@real
def test_every_framework_names_every_layer_of_the_architecture(name: str, device: str) -> None:
    spans = Spans()
    watched_step(build(name, device), spans)
    expected = {layer.name for layer in resnet18.layers()}
    for direction in Direction:
        found = {key.layer for key in spans.steps[0] if key.direction is direction} - {"network"}
        assert found == expected


@by_forward
def test_a_delay_in_one_layers_forward_is_found_there(name: str, device: str, clock: ScriptedClock) -> None:
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


def test_a_delay_in_one_layers_backward_is_found_there_in_torch(clock: ScriptedClock) -> None:
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


def test_a_delay_in_one_layers_forward_or_backward_is_found_there_in_mlx(clock: ScriptedClock) -> None:
    """What MLX calls an operator is the layer."""
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
    framework.model.blocks[2].conv1.__class__ = SlowForward
    framework.model.blocks[5].bn2.__class__ = SlowBackward
    spans = Spans(clock)
    watched_step(framework, spans)
    assert {key: ns for key, ns in spans.steps[0].items() if ns} == {
        Key(Direction.FORWARD, "layer2.0.conv1", "layer2.0.conv1"): 7 * MS,
        Key(Direction.BACKWARD, "layer3.1.bn2", "layer3.1.bn2"): 9 * MS,
    }


def test_watching_mlx_changes_no_gradient_and_ends_each_phase_where_its_layers_end() -> None:
    from mlx.utils import tree_flatten

    framework: Any = build("mlx", "cpu")
    x, y = images(2)
    framework.train()
    inputs, targets = framework.to_device((x, y))

    def gradients() -> dict[str, Any]:
        framework.backward(framework.forward(inputs, targets)[1])
        return {name: np.array(array) for name, array in tree_flatten(framework._asked)}

    spans, ended = Spans(), []
    spans.mark = lambda phase: ended.append((phase, len(spans._step)))
    plain = gradients()
    with framework.layers(spans):
        watched = gradients()
    assert plain.keys() == watched.keys()
    for name, gradient in plain.items():
        np.testing.assert_allclose(watched[name], gradient, rtol=1e-4, atol=1e-6 * float(np.abs(gradient).max()))
    layers = len(list(resnet18.layers()))
    assert ended == [(Phase.FORWARD, layers), (Phase.BACKWARD, 2 * layers)]


def profiled_backward(framework: Any) -> dict[str, int]:
    """Nanoseconds of each operator of one step's backward."""
    spans = Spans()
    x, y = images(2)
    with framework.operators(spans):
        framework.backward(framework.forward(*framework.to_device(default_batch(x, y)))[1])
    return {key.operator: ns for key, ns in spans.totals.items() if key.direction is Direction.BACKWARD}


def default_batch(x: Any, y: Any) -> Any:
    import torch

    return torch.from_numpy(x), torch.from_numpy(y)


def test_a_delay_in_one_operators_backward_is_found_there_in_torch() -> None:
    """Four times what the whole way back took, spent in one normalisation; torch.profiler has its own clock."""
    framework: Any = build("torch", "cpu")
    framework.train()
    before = profiled_backward(framework)
    delay = 4 * sum(before.values())

    def work(gradients: Any) -> None:
        end = time.perf_counter_ns() + delay
        while time.perf_counter_ns() < end:
            pass

    layer = framework.model.layer3[1].bn2
    layer.register_forward_hook(lambda module, args, output: output.grad_fn.register_prehook(work) and None)
    after = profiled_backward(framework)
    norms = next(operator for operator in before if framework.family(operator) is Family.NORMALISATION)
    assert before[norms] < 0.5 * sum(before.values())
    assert after[norms] >= 0.99 * delay
    assert after[norms] > 0.5 * sum(after.values())


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_delay_in_one_operators_backward_is_found_there_in_lucid(
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
    norms = {layer.name for layer in resnet18.layers() if layer.family is Family.NORMALISATION}
    assert found == {Key(Direction.BACKWARD, name, "batch_norm_kernel"): MS for name in norms}


@real
def test_nothing_is_watched_any_more_when_the_context_is_left(name: str, device: str) -> None:
    framework = build(name, device)
    spans = Spans()
    watched_step(framework, spans)
    before = len(spans.steps[0])
    x, y = images(2)
    inputs, targets = framework.to_device(next(iter(framework.loader(x, y, 2, False, lambda collate: collate))))
    framework.backward(framework.forward(inputs, targets)[1])
    spans.end_step()
    assert before > 60
    assert spans.steps[1] == {}


def test_layers_are_compared_with_their_phase_and_what_watching_cost() -> None:
    d = drilldown({"fc": 2.0, "network": 0.25}, {"fc": 4.0})
    assert d.phase(Direction.FORWARD) == 2.0
    assert d.covered(Direction.FORWARD) == pytest.approx(2.25 / 2.5)
    assert d.covered(Direction.BACKWARD) == pytest.approx(1.0)
    assert d.slowdown == pytest.approx(6.5 / 5.0)


def test_what_is_stored_is_read_back() -> None:
    d = drilldown({"fc": 2.0}, {"fc": 4.0})
    assert from_json(json.loads(json.dumps(to_json(d)))) == d
    broken: Any
    for broken in ({}, {"layers": []}, [], {**to_json(d), "layers": [{"direction": "sideways"}]}):
        with pytest.raises(UserError):
            from_json(broken)


def test_differences_come_largest_first_and_one_sided_layers_are_listed() -> None:
    slow = drilldown({"fc": 2.0, "pool": 0.5, "extra": 9.0}, {"fc": 1.0})
    fast = drilldown({"fc": 1.5, "pool": 0.4}, {"fc": 0.2})
    found = [(d.direction, d.layer, d.seconds) for d in differences(slow, fast)]
    assert found == [
        ("backward", "fc", pytest.approx(0.8)),
        ("forward", "fc", pytest.approx(0.5)),
        ("forward", "pool", pytest.approx(0.1)),
        ("forward", "extra", 0.0),
    ]


def test_the_roof_is_the_higher_of_computing_and_moving() -> None:
    ceilings = {"NumPy GFLOP/s": 100.0, "torch GFLOP/s": 200.0, "NumPy GB/s": 10.0}
    assert peak(ceilings, "GFLOP/s") == 200.0
    heavy = Layer("a", Family.CONVOLUTION, 10**9, 2 * 10**9, 100, 0)
    assert least_seconds(heavy, Direction.FORWARD, 2, ceilings) == pytest.approx(2e9 / 200e9)
    assert least_seconds(heavy, Direction.BACKWARD, 2, ceilings) == pytest.approx(4e9 / 200e9)
    light = Layer("b", Family.ACTIVATION, 10, 10, 10**6, 10**6)
    assert least_seconds(light, Direction.FORWARD, 2, ceilings) == pytest.approx((2 * 10**6 + 10**6) * 4 / 10e9)
    assert least_seconds(Layer("c", Family.ELEMENTWISE, 5, 0, 10**6, 0), Direction.BACKWARD, 2, ceilings) == 0


def test_ceilings_are_rates_of_this_machine() -> None:
    """A product of two matrices does more operations per second than it copies bytes: any machine of this century."""
    found = numpy_ceilings()
    assert set(found) == {"NumPy GFLOP/s", "NumPy GB/s"}
    assert found["NumPy GFLOP/s"] > found["NumPy GB/s"] > 0


def test_the_architectures_work_is_derived() -> None:
    """By hand: a 3x3 convolution of 64 channels on 32x32 pixels is 64 x 64 x 9 x 1024 multiply-accumulates."""
    layers = {layer.name: layer for layer in resnet18.layers()}
    assert layers["layer1.0.conv1"].forward_flops == 2 * 64 * 64 * 9 * 1024
    assert layers["layer1.0.conv1"].backward_flops == 2 * layers["layer1.0.conv1"].forward_flops
    assert layers["stem.conv"].backward_flops == layers["stem.conv"].forward_flops == 2 * 3 * 64 * 9 * 1024
    assert layers["layer2.0.downsample.conv"].forward_flops == 2 * 64 * 128 * 16**2
    assert layers["fc"].forward_flops == 2 * 512 * 10
    assert sum(layer.weights for layer in layers.values()) == resnet18.parameter_count()
    products = [layer for layer in layers.values() if layer.family in (Family.CONVOLUTION, Family.LINEAR)]
    assert sum(layer.forward_flops for layer in products) / 2 == pytest.approx(0.555e9, rel=1e-3)


def test_a_torch_network_counts_the_same_work() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    framework: Any = build("torch", "cpu")
    x, y = images(2)
    inputs, targets = framework.to_device(next(iter(framework.loader(x, y, 2, False, lambda collate: collate))))
    with FlopCounterMode(display=False) as counter:
        loss = framework.forward(inputs, targets)[1]
        forward = counter.get_total_flops()
        framework.backward(loss)
    products = [x for x in resnet18.layers() if x.family in (Family.CONVOLUTION, Family.LINEAR)]
    assert forward == 2 * sum(layer.forward_flops for layer in products)
    assert counter.get_total_flops() - forward == 2 * sum(layer.backward_flops for layer in products)


def test_families_sum_to_their_phase_with_the_rest_said() -> None:
    d = drilldown({"fc": 2.0, "pool": 0.25}, {"fc": 3.0})
    assert d.families(Direction.FORWARD) == {Family.LINEAR: 2.25, Family.OTHER: pytest.approx(0.25)}
    assert d.families(Direction.BACKWARD) == {Family.LINEAR: 3.0, Family.OTHER: pytest.approx(1.0)}


NO_LAYERS = {"", "torch::autograd::AccumulateGrad", "aten::flatten", "ViewBackward0", "_mT", "_reshape_immediate"}
"""operators that compute nothing of a layer's: its own Python, views, and what hands a weight its gradient"""


@real
def test_every_operator_of_the_network_has_a_family(name: str, device: str) -> None:
    framework = build(name, device)
    spans = Spans()
    x, y = images(2)
    framework.train()
    batch = next(iter(framework.loader(x, y, 2, False, lambda collate: collate)))
    with framework.operators(spans):
        inputs, targets = framework.to_device(batch)
        framework.backward(framework.forward(inputs, targets)[1])
    spans.end_step()
    for direction in Direction:
        operators = {key.operator for key in {**spans.steps[0], **spans.totals} if key.direction is direction}
        families = {operator: framework.family(operator) for operator in operators}
        assert {operator for operator, family in families.items() if family is Family.OTHER} <= NO_LAYERS
        assert set(families.values()) >= {
            Family.CONVOLUTION, Family.NORMALISATION, Family.ACTIVATION, Family.POOLING, Family.LINEAR, Family.LOSS,
        }  # fmt: skip


def test_families_are_compared_in_the_directions_that_both_sides_watched() -> None:
    found = family_differences(drilldown({"fc": 2.0}, {"fc": 3.0}), drilldown({"fc": 0.5}, {}))
    assert [(d.direction, d.family) for d in found] == [
        (Direction.FORWARD, Family.LINEAR), (Direction.FORWARD, Family.OTHER)
    ]  # fmt: skip
    assert [d.seconds for d in found] == pytest.approx([1.5, -1.5]), "both phases take 2.5 s while watched"

"""Transplants: one framework's operation inside another computes the same loss and the same gradients."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from epoch_gap.profiler.parity.tensors import FLIPS, Quantity
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, Network
from epoch_gap.workloads.adapters import torch_kernels
from epoch_gap.workloads.architecture import ARCHITECTURES, find_architecture
from epoch_gap.workloads.experiments import apply_switches, contiguous_convolution
from epoch_gap.workloads.framework import Framework
from epoch_gap.workloads.transplant import Geometry
from tests.helpers.adapters import build, images, resized
from tests.helpers.switched_training import workload_of

INSIDE_LUCID = ["torch_convolution", "torch_batch_norm", "torch_relu"]


class Step(NamedTuple):
    """The first step of a training."""

    loss: float
    gradients: list[np.ndarray[Any, Any]]
    statistics: list[np.ndarray[Any, Any]]
    test_loss: float
    """in evaluation mode, after it"""


def first_step(name: str, *switches: str, network: Network = DEFAULT_NETWORK) -> Step:
    framework: Any = build(name, "cpu", network)
    undo = apply_switches(switches, workload_of(framework, batches=1))
    try:
        inputs, targets = batch_of(framework)
        framework.train()
        logits, loss = framework.forward(inputs, targets)
        framework.backward(loss)
        gradients = [np.asarray(parameter.grad) for parameter in framework.model.parameters()]
        statistics = [np.asarray(getattr(buffer, "data", buffer)).copy() for buffer in framework.model.buffers()]
        loss = framework.metrics(logits, loss, targets)[0]
        with framework.evaluating():
            test_loss = framework.metrics(*framework.forward(inputs, targets), targets)[0]
    finally:
        undo()
    return Step(loss, gradients, statistics, test_loss)


def batch_of(framework: Framework) -> tuple[Any, Any]:
    size = framework.architecture.image_size
    x, y = images(4) if size == DEFAULT_NETWORK.image_size else resized(4, size)
    (batch,) = framework.loader(x, y, 4, False, lambda collate: collate)
    return framework.to_device(batch)


@pytest.fixture(scope="module")
def plain() -> Callable[[str], Step]:
    """The step without switches, computed once."""
    return cache(first_step)


def check_equal(plain: Step, transplanted: Step) -> None:
    assert transplanted.loss == pytest.approx(plain.loss, rel=1e-5)
    assert transplanted.test_loss == pytest.approx(plain.test_loss, rel=1e-4)
    for arrays in ("gradients", "statistics"):
        for ours, theirs in zip(getattr(plain, arrays), getattr(transplanted, arrays), strict=True):
            assert np.linalg.norm(theirs - ours) <= 1e-5 * np.linalg.norm(ours)


@pytest.mark.parametrize("switches", [*([name] for name in INSIDE_LUCID), INSIDE_LUCID], ids="+".join)
def test_pytorchs_operations_inside_lucid_compute_the_same(
    switches: list[str], plain: Callable[[str], Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = 0

    def counted(array: np.ndarray[Any, Any]) -> Any:
        nonlocal copied
        copied += not array.flags.writeable
        return tensor(array)

    tensor = torch_kernels._tensor
    monkeypatch.setattr(torch_kernels, "_tensor", counted)
    transplanted = first_step("lucid", *switches)
    check_equal(plain("lucid"), transplanted)
    assert copied <= 2, "only the gradient of the pooling cannot be written to"


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Grows with Lucid's batch normalisations: whether what each gets follows the order of its axes in memory."""
    build("lucid", "cpu")  # makes Lucid importable
    from lucid.nn._kernel.norm import batch_norm_kernel

    seen: list[bool] = []

    def watched(self: Any, a: Any, *tensors: Any) -> Any:
        seen.append(a.data.flags.c_contiguous)
        return before(self, a, *tensors)

    before = batch_norm_kernel.cpu
    monkeypatch.setattr(batch_norm_kernel, "cpu", watched)
    return seen


def test_copied_outputs_of_convolutions_follow_their_axes_and_compute_the_same(in_order: list[bool]) -> None:
    plain = first_step("lucid")
    assert not any(in_order)
    in_order.clear()
    check_equal(plain, first_step("lucid", "contiguous_convolution"))
    assert in_order
    assert all(in_order)


def test_the_layout_is_timed_on_a_stage_with_and_without_copies(in_order: list[bool]) -> None:
    for call in (*contiguous_convolution.variants(build("lucid", "cpu"), [0, 1]),) * 2:
        call()
    assert in_order == ([False] * 4 + [True] * 4) * 2, "two blocks with two normalisations each"


def test_lucids_convolution_inside_pytorch_computes_the_same(plain: Callable[[str], Step]) -> None:
    check_equal(plain("torch"), first_step("torch", "lucid_convolution"))


GEOMETRIES = {
    (conv.kernel, conv.stride, conv.padding)
    for name in ARCHITECTURES
    for size in (32, 64)
    for conv in find_architecture(Network(name, size)).convolutions()
}
"""of all networks"""


@pytest.mark.parametrize(("kernel", "stride", "padding"), sorted(GEOMETRIES))
def test_both_frameworks_compute_the_same_convolution_of_every_network(
    kernel: int, stride: int, padding: int
) -> None:
    from epoch_gap.workloads.adapters import lucid_kernels

    draw = np.random.default_rng(1)
    geometry = Geometry((stride,) * 2, (padding,) * 2, (1, 1), 1)
    inputs, weights = (draw.normal(size=size).astype(np.float32) for size in ((2, 3, 16, 16), (4, 3, kernel, kernel)))
    ours, theirs = lucid_kernels.CONVOLUTION, torch_kernels.CONVOLUTION
    outputs = ours.forward(inputs, weights, geometry)
    np.testing.assert_allclose(outputs, theirs.forward(inputs, weights, geometry), atol=1e-4)
    gradient = draw.normal(size=outputs.shape).astype(np.float32)
    for a, b in zip(
        ours.backward(gradient, inputs, weights, geometry, True),
        theirs.backward(gradient, inputs, weights, geometry, True),
        strict=True,
    ):
        assert a is not None
        np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.mark.parametrize(("name", "switch"), [("lucid", "torch_convolution"), ("torch", "lucid_convolution")])
def test_convolutions_with_a_bias_are_replaced_too(name: str, switch: str) -> None:
    network = Network("lenet5", 16)
    check_equal(first_step(name, network=network), first_step(name, switch, network=network))


@pytest.mark.parametrize(
    "network", [Network("resnet50", 16), Network("resnet18", 64)], ids=["resnet50", "large images"]
)
@pytest.mark.parametrize(
    ("name", "switches"), [("lucid", INSIDE_LUCID), ("torch", ["lucid_convolution"])], ids=["lucid", "torch"]
)
def test_other_networks_compute_the_same_up_to_rounding(name: str, switches: list[str], network: Network) -> None:
    """Rounding that flips a ReLU shows in gradients: see `FLIPS`."""
    plain, transplanted = (first_step(name, *chosen, network=network) for chosen in ((), switches))
    assert transplanted.loss == pytest.approx(plain.loss, rel=1e-4)
    for ours, theirs in zip(plain.gradients, transplanted.gradients, strict=True):
        assert np.linalg.norm(theirs - ours) <= 1e-4 * FLIPS[Quantity.GRADIENT] * np.linalg.norm(ours)


@pytest.mark.parametrize("name", ["lucid", "torch"])
def test_after_a_transplant_everything_is_as_before(name: str, plain: Callable[[str], Step]) -> None:
    before, after = plain(name), first_step(name)
    assert (after.loss, after.test_loss) == (before.loss, before.test_loss)
    assert all((a == b).all() for a, b in zip(after.gradients, before.gradients, strict=True))


@pytest.mark.parametrize(
    ("kernel", "part", "switch", "calls"),
    [
        ("CONVOLUTION", "backward", "torch_convolution", 20),
        ("BATCH_NORM", "backward", "torch_batch_norm", 20),
        ("RELU", "backward", "torch_relu", 17),
    ],
)
def test_every_operation_of_its_kind_is_replaced(
    kernel: str, part: str, switch: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    build("lucid", "cpu")
    called = 0
    operation = getattr(torch_kernels, kernel)
    original = getattr(operation, part)

    def counted(*args: Any) -> Any:
        nonlocal called
        called += 1
        return original(*args)

    monkeypatch.setattr(torch_kernels, kernel, operation._replace(**{part: counted}))
    first_step("lucid", switch)
    assert called == calls


def test_a_maximum_that_is_no_relu_stays_lucids() -> None:
    framework = build("lucid", "cpu")
    import lucid

    undo = apply_switches(["torch_relu"], workload_of(framework, batches=1))
    a, b = lucid.tensor(np.array([1.0, -2.0])), lucid.tensor(np.array([0.0, -1.0]))
    assert lucid.maximum(a, b).data.tolist() == [1.0, -1.0]
    assert lucid.maximum(lucid.tensor(0.5), b).data.tolist() == [0.5, 0.5]
    undo()

"""Networks as data: counts and shapes are those of torchvision's networks, and each adapter's network is the one."""

import math
import weakref
from collections import Counter
from typing import Any

import numpy as np
import pytest

from epoch_gap.profiler.drilldown.spans import Direction, OperatorCategory, Spans
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.manifest import DEFAULT_NETWORK, Network
from epoch_gap.workloads.architecture import ARCHITECTURES, Operation, find_architecture, resnet18
from epoch_gap.workloads.initial_weights import draw_weights
from epoch_gap.workloads.renumbering import Renumbering, channel_groups
from tests.helpers.adapters import FUNCTIONAL, SEED, build, layer_timings, resized

COUNTS = {
    Network("resnet18", 32): 11_173_962,
    Network("resnet18", 224): 11_181_642,
    Network("resnet34", 32): 21_282_122,
    Network("resnet34", 224): 21_289_802,
    Network("resnet50", 32): 23_520_842,
    Network("resnet50", 224): 23_528_522,
    Network("lenet5", 32): 62_006,
    Network("lenet5", 224): 5_407_286,
}
SMALL = [Network("resnet34", 16), Network("resnet50", 16), Network("resnet18", 64), Network("lenet5", 32)]
"""one network of each kind, on small images"""
SIDES = [("torch", "cpu"), ("lucid", "cpu"), ("lucid", "gpu"), ("mlx", "cpu")]
each_name = pytest.mark.parametrize("network", SMALL, ids=lambda network: f"{network.model}-{network.image_size}")
CORES = [*SIDES, *FUNCTIONAL]
each_side_and_core = pytest.mark.parametrize(("name", "device"), CORES, ids=map("-".join, CORES))
each_side = pytest.mark.parametrize(("name", "device"), SIDES, ids=map("-".join, SIDES))


@pytest.mark.parametrize(("network", "count"), COUNTS.items(), ids=lambda value: str(value))
def test_a_network_has_as_many_parameters_as_published(network: Network, count: int) -> None:
    architecture = find_architecture(network)
    assert architecture.parameter_count() == count
    assert sum(layer.weights for layer in architecture.layers()) == count
    assert sum(math.prod(shape) for _, shape in architecture.parameters()) == count


@pytest.mark.parametrize("size", [32, 63, 64, 224])
@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_a_resnet_has_the_parameters_of_torchvisions_with_the_stem_that_follows_from_the_size(
    name: str, size: int
) -> None:
    from torch import nn
    from torchvision import models

    model: Any = getattr(models, name)(num_classes=10)
    if size < 64:
        model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs = Counter(tuple(parameter.shape) for parameter in model.parameters())
    assert Counter(shape for _, shape in find_architecture(Network(name, size)).parameters()) == theirs


def test_the_articles_network_has_18_layers_with_weights_and_3_shortcuts() -> None:
    assert resnet18 == find_architecture(DEFAULT_NETWORK)
    convolutions = list(resnet18.convolutions())
    shortcuts = [c for c in convolutions if c.kernel == 1]
    assert len(convolutions) - len(shortcuts) + 1 == 18
    assert [c.name for c in shortcuts] == [f"layer{n}.0.downsample.conv" for n in (2, 3, 4)]
    assert {tuple(block) for block in resnet18.blocks().values()} == {
        ("conv1", "conv2"),
        ("conv1", "conv2", "downsample"),
    }


@pytest.mark.parametrize(("name", "layers"), [("resnet34", 34), ("resnet50", 50)])
def test_a_network_has_as_many_layers_with_weights_as_its_name_says(name: str, layers: int) -> None:
    operations = find_architecture(Network(name)).operations
    names = [operation.name for operation in operations if type(operation).__name__ in ("Conv", "Linear")]
    assert len([n for n in names if "downsample" not in n]) == layers


def test_a_bottleneck_has_its_stride_in_the_second_convolution() -> None:
    block = find_architecture(Network("resnet50")).blocks()["layer2.0"]
    assert {name: (c.inputs, c.out, c.kernel, c.stride) for name, c in block.items()} == {
        "conv1": (256, 128, 1, 1),
        "conv2": (128, 128, 3, 2),
        "conv3": (128, 512, 1, 1),
        "downsample": (256, 512, 1, 2),
    }


def test_lenet5_is_the_network_of_the_paper_for_three_channels() -> None:
    """LeCun et al. (1998): C1 6 @ 28 x 28, S2 6 @ 14 x 14, C3 16 @ 10 x 10, S4 16 @ 5 x 5, C5 120, F6 84."""
    shapes = find_architecture(Network("lenet5")).shapes()
    assert {name: shape for name, shape in shapes.items() if not name.endswith("tanh")} == {
        "image": (3, 32, 32),
        "layer1.conv": (6, 28, 28),
        "layer1.pool": (6, 14, 14),
        "layer2.conv": (16, 10, 10),
        "layer2.pool": (16, 5, 5),
        "layer3.linear": (120,),
        "layer4.linear": (84,),
        "fc": (10,),
    }


@pytest.mark.parametrize(
    ("size", "sides"), [(32, (32, 32, 16, 8, 4)), (64, (32, 16, 8, 4, 2)), (224, (112, 56, 28, 14, 7))]
)
def test_the_stem_of_large_images_makes_them_four_times_smaller(size: int, sides: tuple[int, ...]) -> None:
    shapes = find_architecture(Network("resnet18", size)).shapes()
    names = ["stem.relu", *(f"layer{stage}.1.relu2" for stage in (1, 2, 3, 4))]
    assert tuple(shapes[name][1] for name in names) == sides
    assert ("stem.pool" in shapes) == (size >= 64)


@pytest.mark.parametrize(
    "network",
    [*SMALL, Network("resnet18", 65), Network("resnet50", 17), Network("lenet5", 33), Network("lenet5", 16)],
    ids=lambda network: f"{network.model}-{network.image_size}",
)
def test_every_layer_has_the_shape_and_the_work_that_torch_counts(network: Network) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    framework: Any = build("torch", "cpu", network)
    architecture = framework.architecture
    x, y = resized(2, network.image_size)
    inputs, targets = framework.to_device(next(iter(framework.loader(x, y, 2, False, lambda collate: collate))))
    with FlopCounterMode(display=False) as counter, framework.parity.outputs() as outputs:
        loss = framework.forward(inputs, targets)[1]
        forward = counter.get_total_flops()
        framework.backward(loss)
    shapes = architecture.shapes()
    del shapes["image"]
    assert {name: output.shape[1:] for name, output in outputs.items()} == shapes
    products = [
        layer
        for layer in architecture.layers()
        if layer.category in (OperatorCategory.CONVOLUTION, OperatorCategory.LINEAR)
    ]
    assert forward == 2 * sum(layer.forward_flops for layer in products)
    assert counter.get_total_flops() - forward == 2 * sum(layer.backward_flops for layer in products)


def test_the_work_of_windows_counts_each_of_their_numbers() -> None:
    """By hand: LeNet-5's first pooling averages 2 x 2 numbers, 6 @ 14 x 14 times; the maximum takes one of nine."""
    lenet = {layer.name: layer for layer in find_architecture(Network("lenet5")).layers()}
    assert lenet["layer1.pool"].forward_flops == lenet["layer1.pool"].backward_flops == 6 * 14**2 * 4
    assert lenet["layer1.pool"].activations == 6 * (28**2 + 14**2)
    assert lenet["layer1.conv"].weights == 6 * 3 * 25 + 6
    assert lenet["layer3.linear"].forward_flops == 2 * 400 * 120
    large = {layer.name: layer for layer in find_architecture(Network("resnet18", 224)).layers()}
    assert (large["stem.pool"].forward_flops, large["stem.pool"].backward_flops) == (64 * 56**2 * 9, 64 * 56**2)
    work = sum(layer.forward_flops for layer in large.values() if layer.category is OperatorCategory.CONVOLUTION)
    assert work / 2 == pytest.approx(1.814e9, rel=1e-3), "the 1.8 GMAC of ResNet-18"


@pytest.mark.parametrize("network", SMALL, ids=lambda network: network.model)
def test_operations_run_in_order_and_a_result_is_forgotten_after_its_last_use(network: Network) -> None:
    class Result:
        def __init__(self, name: str) -> None:
            self.name = name

    known: weakref.WeakSet[Result] = weakref.WeakSet()
    most = 0

    def compute(operation: Operation, *inputs: Result) -> Result:
        nonlocal most
        assert tuple(result.name for result in inputs) == operation.sources
        result = Result(operation.name)
        known.add(result)
        most = max(most, len(known))
        return result

    architecture = find_architecture(network)
    assert architecture.run(Result("image"), compute).name == "fc"
    has_shortcuts = "elementwise" in architecture.kinds()
    assert most == (3 if has_shortcuts else 2), "input, output, and the shortcut"


@each_name
@each_side_and_core
def test_every_adapter_builds_the_described_network(name: str, device: str, network: Network) -> None:
    framework = build(name, device, network)
    weights = framework.read_weights()
    assert {key: array.shape for key, array in weights.items()} == dict(framework.architecture.parameters())
    drawn = draw_weights(framework.architecture, 3)
    framework.set_weights(drawn)
    read = framework.read_weights()
    assert all((read[key] == drawn[key]).all() for key in drawn)


@each_name
@each_side
def test_every_layer_is_timed_in_both_directions(name: str, device: str, network: Network) -> None:
    if device == "gpu" and network.model != "lenet5":
        pytest.skip("Lucid's networks have the same modules on both devices")
    framework, spans = build(name, device, network), Spans()
    x, y = resized(2, network.image_size)
    framework.train()
    with layer_timings(framework).layers(spans):
        batch = next(iter(framework.loader(x, y, 2, False, lambda collate: collate)))
        inputs, targets = framework.to_device(batch)
        _, loss = framework.forward(inputs, targets)
        framework.materialize(loss)
        framework.backward(loss)
        spans.end_step()
    expected = {layer.name for layer in framework.architecture.layers()}
    for direction in Direction:
        found = {key.layer for key in spans.steps[0] if key.direction is direction} - {"network"}
        assert found == expected


@pytest.mark.parametrize("network", SMALL, ids=lambda network: network.model)
def test_renumbered_channels_have_an_inverse(network: Network) -> None:
    architecture = find_architecture(network)
    weights = draw_weights(architecture, SEED)
    renumbering = Renumbering.draw(architecture, 1)
    inverse = {group: np.argsort(order) for group, order in renumbering.permutations.items()}
    renumbered = renumbering.renumber(weights)
    back = Renumbering(renumbering.groups, inverse).renumber(renumbered)
    assert all((back[name] == weights[name]).all() for name in weights)
    changed = {name for name in weights if weights[name].std() > 0 and (renumbered[name] != weights[name]).any()}
    assert changed == {name for name in weights if weights[name].std() > 0} - {"fc.bias"}


def test_an_addition_connects_the_channels_of_both_its_sources() -> None:
    groups = channel_groups(find_architecture(Network("resnet50", 16)))
    layers = ("conv3", "bn3", "add", "relu3")
    stage = {groups[f"layer1.{block}.{layer}"][1] for block in (0, 1, 2) for layer in layers}
    assert len(stage) == 1
    assert groups["layer1.0.downsample.conv"] == ("stem.conv", *stage)
    assert groups["layer1.1.conv1"] == (*stage, "layer1.1.conv1")


def test_biases_are_drawn_uniformly_and_normalisations_start_as_the_identity() -> None:
    weights = draw_weights(find_architecture(Network("lenet5")), 1)
    bound = 1 / np.sqrt(3 * 25)
    assert 0.5 * bound < np.abs(weights["layer1.conv.bias"]).max() <= bound
    assert np.abs(weights["layer3.linear.weight"]).max() <= 1 / np.sqrt(400)
    norm = draw_weights(resnet18, 1)
    assert (norm["stem.bn.weight"] == 1).all()
    assert (norm["stem.bn.bias"] == 0).all()


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (Network("vgg"), "no model 'vgg'; choose one of: resnet18, resnet34, resnet50, lenet5"),
        (Network("resnet18", 15), "image size 15 is not between 16 and 1024"),
        (Network("lenet5", 1025), "image size 1025 is not between 16 and 1024"),
    ],
)
def test_a_network_that_does_not_exist_is_refused(network: Network, line: str) -> None:
    with pytest.raises(UserError) as error:
        find_architecture(network)
    assert str(error.value) == line


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_takes_the_smallest_images(name: str) -> None:
    shapes = find_architecture(Network(name, 16)).shapes()
    assert all(min(shape) >= 1 for shape in shapes.values())

"""Initial weights by canonical name: the same names, shapes and values in every framework."""

import numpy as np
import pytest

from epoch_gap.workloads.architecture import resnet18
from epoch_gap.workloads.initial_weights import draw_weights
from tests.helpers.adapters import FUNCTIONAL, SIDES, build, images

NETWORKS = [*(side for side in SIDES if side[0] != "fake"), *FUNCTIONAL]
network = pytest.mark.parametrize(("name", "device"), NETWORKS, ids=map("-".join, NETWORKS))


def test_the_parameters_are_those_of_the_network() -> None:
    assert sum(int(np.prod(shape)) for _, shape in resnet18.parameters()) == resnet18.parameter_count()


def test_weights_depend_on_the_seed_alone() -> None:
    first, again, other = draw_weights(resnet18, 1), draw_weights(resnet18, 1), draw_weights(resnet18, 2)
    assert all((first[name] == again[name]).all() for name in first)
    assert not (first["stem.conv.weight"] == other["stem.conv.weight"]).any()
    assert first["layer1.0.conv1.weight"].std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)


@network
def test_every_parameter_has_its_canonical_name_and_shape(name: str, device: str) -> None:
    weights = build(name, device).read_weights()
    assert {layer: array.shape for layer, array in weights.items()} == dict(resnet18.parameters())


@network
def test_weights_that_are_set_are_those_that_are_read_and_trained(name: str, device: str) -> None:
    framework, weights = build(name, device), draw_weights(resnet18, 3)
    framework.set_weights(weights)
    read = framework.read_weights()
    assert all((read[layer] == weights[layer]).all() for layer in weights)
    read["fc.bias"][:] = 9
    assert (framework.read_weights()["fc.bias"] == weights["fc.bias"]).all(), "a copy"


def test_frameworks_with_the_same_weights_have_the_same_first_loss() -> None:
    losses, weights, batch = [], draw_weights(resnet18, 3), images(2)
    for name, device in NETWORKS:
        framework = build(name, device)
        framework.set_weights(weights)
        framework.train()
        inputs, targets = framework.to_device(_tensors(name, batch))
        losses.append(framework.metrics(*framework.forward(inputs, targets), targets)[0])
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-5)


def _tensors(name: str, batch: tuple[object, object]) -> object:
    """A batch as the framework's loader yields it."""
    if name != "torch":
        return batch
    import torch

    return tuple(map(torch.as_tensor, batch))

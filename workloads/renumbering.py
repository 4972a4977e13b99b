"""The same network with its channels renumbered: the same training in another order of summation.

A convolution sums over its input channels. If the outputs of one layer and the inputs of the next are permuted in the
same way, the network computes the same function, and Adam, which works on each weight alone, the same updates; only
the rounding of the sums differs. This is the rounding that a comparison of two frameworks has to be judged by.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.parity.tensors import Array, Quantity, StepTensors, Tensors, layer_of
from epoch_gap.workloads import resnet18

IMAGE, CLASSES = "image", "classes"
"""groups of channels that keep their order"""


def channel_groups() -> dict[str, tuple[str, str]]:
    """By layer, the groups of its input and output channels; layers with a common group are connected."""
    stream = "stem"
    groups = {"stem.conv": (IMAGE, stream), "stem.bn": (stream, stream), "stem.relu": (stream, stream)}
    for block, convs in resnet18.blocks().items():
        inner, out = f"{block}.inner", block if "downsample" in convs else stream
        groups |= {f"{block}.conv1": (stream, inner), f"{block}.conv2": (inner, out)}
        groups |= dict.fromkeys((f"{block}.bn1", f"{block}.relu1"), (inner, inner))
        groups |= dict.fromkeys((f"{block}.bn2", f"{block}.add", f"{block}.relu2"), (out, out))
        if out != stream:
            groups |= {f"{block}.downsample.conv": (stream, out), f"{block}.downsample.bn": (out, out)}
        stream = out
    return groups | {"pool": (stream, stream), "fc": (stream, CLASSES)}


@dataclass(frozen=True)
class Renumbering:
    """A permutation of each group of channels."""

    permutations: Mapping[str, NDArray[np.intp]]

    @classmethod
    def draw(cls, weights: Tensors, seed: int) -> "Renumbering":
        """Random permutations for a network with these weights."""
        generator = np.random.default_rng(seed)
        sizes = {
            group: len(weights[f"{layer}.weight"])
            for layer, (_, group) in channel_groups().items()
            if group != CLASSES and f"{layer}.weight" in weights
        }
        return cls({group: generator.permutation(size) for group, size in sizes.items()})

    def renumber(self, weights: Tensors) -> dict[str, Array]:
        """The weights of the renumbered network."""
        return {name: self._permute(name, array, self.permutations) for name, array in weights.items()}

    def undo(self, step: StepTensors) -> StepTensors:
        """What the renumbered network computed, in the original order of the channels."""
        inverse = {group: np.argsort(order) for group, order in self.permutations.items()}
        tensors: dict[Quantity, Tensors] = {
            quantity: {
                name: self._permute(name, a, inverse, quantity is Quantity.OUTPUT) for name, a in found.items()
            }
            for quantity, found in step.tensors.items()
        }
        return StepTensors(step.loss, tensors)

    @staticmethod
    def _permute(name: str, array: Array, orders: Mapping[str, NDArray[np.intp]], is_output: bool = False) -> Array:
        """Outputs have their channels in axis 1; weights their outputs in axis 0, and their inputs in axis 1."""
        inputs, outputs = channel_groups()[layer_of(name)]
        groups = ("", outputs) if is_output else (outputs, inputs)
        for axis, group in enumerate(groups[: array.ndim]):
            if group in orders:
                array = array.take(orders[group], axis)
        return array

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
from epoch_gap.workloads.architecture import IMAGE, Add, Architecture, Conv, Linear

Groups = Mapping[str, tuple[str, str]]
"""by layer, the groups of its input and output channels; layers with a common group are connected"""


def channel_groups(architecture: Architecture) -> Groups:
    """The groups of all layers. A convolution and a linear layer begin a group; an addition joins two."""
    outputs = {IMAGE: IMAGE}
    for operation in architecture.operations:
        begins = isinstance(operation, Conv | Linear)
        outputs[operation.name] = operation.name if begins else outputs[operation.sources[0]]
        if isinstance(operation, Add):
            joined, kept = (outputs[source] for source in operation.sources)
            outputs = {name: kept if group == joined else group for name, group in outputs.items()}
    return {
        operation.name: (outputs[operation.sources[0]], outputs[operation.name])
        for operation in architecture.operations
    }


@dataclass(frozen=True)
class Renumbering:
    """A permutation of each group of channels."""

    groups: Groups
    permutations: Mapping[str, NDArray[np.intp]]

    @classmethod
    def draw(cls, architecture: Architecture, seed: int) -> "Renumbering":
        """Random permutations of all channels but those of the image and the classes."""
        generator, groups, shapes = np.random.default_rng(seed), channel_groups(architecture), architecture.shapes()
        _, classes = groups[architecture.operations[-1].name]
        sizes = {group: shapes[layer][0] for layer, (_, group) in groups.items() if group != classes}
        return cls(groups, {group: generator.permutation(size) for group, size in sizes.items()})

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

    def _permute(
        self, name: str, array: Array, orders: Mapping[str, NDArray[np.intp]], is_output: bool = False
    ) -> Array:
        """Outputs have their channels in axis 1; weights their outputs in axis 0, and their inputs in axis 1."""
        inputs, outputs = self.groups[layer_of(name)]
        groups = ("", outputs) if is_output else (outputs, inputs)
        for axis, group in enumerate(groups[: array.ndim]):
            if group in orders:
                array = array.take(_positions(orders[group], array.shape[axis]), axis)
        return array


def _positions(order: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """The order of an axis of channels; of `length` numbers where each channel has several, one after the other."""
    numbers = length // len(order)
    return (order[:, None] * numbers + np.arange(numbers)).reshape(-1)

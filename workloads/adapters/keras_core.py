"""Keras' own layers, loss and optimizer, for both backends; channels first, so that layouts are alike."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from epoch_gap.workloads.adapters.keras_parity import KerasParity
from epoch_gap.workloads.architecture import (
    IMAGE_CHANNELS,
    Activation,
    Add,
    Architecture,
    BatchNorm,
    Conv,
    GlobalPool,
    Linear,
    Operation,
    Pool,
)
from epoch_gap.workloads.array_core import ADAM_EPSILON, EPSILON, MOMENTUM
from epoch_gap.workloads.framework import Batch, ParityAccess, Tensor, Weights
from epoch_gap.workloads.functional import FunctionalCore, State, Training
from epoch_gap.workloads.optimizer import ADAM

FIRST = "channels_first"
KINDS = {"kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}
KINDS |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
"""of Keras' variables, under their canonical names"""
KERAS_AXES, CANONICAL_AXES = {4: (2, 3, 1, 0), 2: (1, 0)}, {4: (3, 2, 0, 1), 2: (1, 0)}
"""Kernels are (rows, columns, in, out) in Keras, and linear layers (in, out)."""


class KerasCore(FunctionalCore):
    """The model; a backend adds its gradients. The state's weights are in the order of the model's variables."""

    version, distribution = keras.__version__, "keras"

    def __init__(self, device: str, architecture: Architecture) -> None:
        super().__init__(device, architecture)
        takes_any_size = any(isinstance(operation, GlobalPool) for operation in architecture.operations)
        side = None if takes_any_size else architecture.image_size
        images = keras.Input((IMAGE_CHANNELS, side, side))
        outputs: dict[str, Any] = {}

        def compute(operation: Operation, *inputs: Any) -> Any:
            outputs[operation.name] = _call(operation, *inputs)
            return outputs[operation.name]

        architecture.run(images, compute)
        self.last = next(reversed(outputs))
        self.model = self.network = keras.Model(images, {self.last: outputs[self.last]})
        self.watched = keras.Model(images, outputs)
        """the same layers, with the output of each"""
        self.outputs: Mapping[str, Tensor] = {}
        self.criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.optimizer = keras.optimizers.Adam(ADAM.lr, *ADAM.betas, epsilon=ADAM_EPSILON)
        self.optimizer.build(self.model.trainable_variables)

    def init(self, weights: Weights) -> State:
        for variable in self.model.trainable_variables:
            variable.assign(_transposed(weights[canonical(variable)], KERAS_AXES))
        parts = (self.model.trainable_variables, self.model.non_trainable_variables, self.optimizer.variables)
        return State(*(self.values(variables) for variables in parts))

    def values(self, variables: Iterable[Any]) -> list[Tensor]:
        """The backend's tensors of variables."""
        return [variable.value for variable in variables]

    def to_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """keras.ops.convert_to_tensor(images), convert_to_tensor(labels, int32)"""
        return keras.ops.convert_to_tensor(batch[0]), keras.ops.convert_to_tensor(batch[1], "int32")

    def decayed(self, gradients: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
        """The gradients with the weight decay, which Keras would apply decoupled from them."""
        return [gradient + ADAM.weight_decay * weight for gradient, weight in zip(gradients, weights, strict=True)]

    def read(self, tensor: Tensor) -> NDArray[Any]:
        return np.array(keras.ops.convert_to_numpy(tensor))

    def named(self, variables: Sequence[Any], values: Sequence[Tensor]) -> dict[str, NDArray[Any]]:
        """Copies of values by the canonical names of their variables, in canonical layouts."""
        pairs = zip(variables, values, strict=True)
        return {canonical(variable): _transposed(self.read(value), CANONICAL_AXES) for variable, value in pairs}

    def read_weights(self, state: State) -> Weights:
        return self.named(self.model.trainable_variables, state.weights)

    def parity(self, training: Training) -> ParityAccess | None:
        return KerasParity(self, training)

    def conditions(self) -> Mapping[str, Any]:
        return {"kernels": f"Keras {keras.__version__} on {keras.backend.backend()}", "layout": "NCHW"}


def keras_name(name: str) -> str:
    """The name of a layer in Keras, which may not have dots on every backend."""
    return name.replace(".", "_")


def canonical(variable: Any) -> str:
    """`layer1_0_conv1/kernel` -> `layer1.0.conv1.weight`"""
    layer, kind = variable.path.split("/")[-2:]
    return f"{layer.replace('_', '.')}.{KINDS[kind]}"


def _call(operation: Operation, x: Any, *more: Any) -> Any:
    """One operation as a layer of the model under construction. For strides, padding `same` is not symmetric."""
    name = keras_name(operation.name)
    match operation:
        case Conv():
            is_same = operation.stride == 1 and 2 * operation.padding == operation.kernel - 1
            if operation.padding and not is_same:
                x = layers.ZeroPadding2D(operation.padding, FIRST)(x)
            shape = (operation.out, operation.kernel, operation.stride, "same" if is_same else "valid", FIRST)
            return layers.Conv2D(*shape, use_bias=operation.has_bias, name=name)(x)
        case BatchNorm():
            return layers.BatchNormalization(axis=1, momentum=1 - MOMENTUM, epsilon=EPSILON, name=name)(x)
        case Activation():
            layer = layers.ReLU(name=name) if operation.function == "relu" else layers.Activation("tanh", name=name)
            return layer(x)
        case Pool():
            if operation.padding:  # by zeros, the least that an activation before it gives
                x = layers.ZeroPadding2D(operation.padding, FIRST)(x)
            kind = layers.MaxPooling2D if operation.function == "max" else layers.AveragePooling2D
            return kind(operation.kernel, operation.stride, "valid", FIRST, name=name)(x)
        case Add():
            return layers.Add(name=name)([x, *more])
        case GlobalPool():
            return layers.GlobalAveragePooling2D(FIRST, name=name)(x)
        case Linear():
            rows = layers.Reshape((operation.inputs,))(x) if len(x.shape) > 2 else x
            return layers.Dense(operation.out, name=name)(rows)


def _transposed(values: NDArray[Any], axes: Mapping[int, tuple[int, ...]]) -> NDArray[Any]:
    return np.ascontiguousarray(values.transpose(axes[values.ndim])) if values.ndim in axes else values

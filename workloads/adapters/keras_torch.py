"""Keras on PyTorch's CPU: the loop of Keras' guide to training with PyTorch."""

from collections.abc import Sequence
from typing import Any

from epoch_gap.workloads.adapters.keras_backend import use_backend

use_backend("torch")  # before the first import of Keras: hence E402 below

import torch  # noqa: E402

from epoch_gap.workloads.adapters.keras_core import KerasCore  # noqa: E402
from epoch_gap.workloads.framework import Tensor  # noqa: E402
from epoch_gap.workloads.functional import State  # noqa: E402


class KerasTorch(KerasCore):
    """`KerasCore` with PyTorch's autograd."""

    title = "Keras on PyTorch"

    def zero_grad(self, state: State) -> None:
        """model.zero_grad(): every parameter's grad becomes None"""
        self.model.zero_grad()

    def loss_and_gradients(self, state: State, inputs: Tensor, targets: Tensor, training: bool) -> Any:
        """model(images, training=True), SparseCategoricalCrossentropy()(labels, logits)"""
        self.outputs = self.network(inputs, training=training)
        logits = self.outputs[self.last]
        loss = self.criterion(targets, logits)
        return loss, logits, loss, state

    def gradients(self, pending: Tensor) -> list[Tensor]:
        """loss.backward(), then every variable's value.grad"""
        pending.backward()
        return [variable.value.grad for variable in self.model.trainable_variables]

    def update(self, state: State, gradients: Sequence[Tensor], lr: float) -> State:
        """keras.optimizers.Adam.apply(gradients and weight decay, variables)"""
        with torch.no_grad():
            self.optimizer.learning_rate = lr
            self.optimizer.apply(self.decayed(gradients, state.weights), self.model.trainable_variables)
        return state

    def evaluate(self, state: State, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return super().evaluate(state, inputs, targets)

    def wait(self, values: Sequence[Any]) -> None:
        """nothing: PyTorch's CPU is eager"""

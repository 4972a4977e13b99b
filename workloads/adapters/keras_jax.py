"""Keras on JAX: the stateless loop of Keras' guide to training with JAX."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from epoch_gap.workloads.adapters.keras_backend import use_backend

use_backend("jax")  # before the first import of Keras: hence E402 below

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from epoch_gap.workloads.adapters.jax_core import JaxCore  # noqa: E402
from epoch_gap.workloads.adapters.keras_core import KerasCore  # noqa: E402
from epoch_gap.workloads.framework import Tensor  # noqa: E402
from epoch_gap.workloads.functional import State  # noqa: E402


class KerasJax(JaxCore, KerasCore):
    """`KerasCore` with jax.vjp."""

    title = "Keras on JAX"

    def values(self, variables: Iterable[Any]) -> list[Tensor]:
        return [jnp.array(variable.value) for variable in variables]  # copies: a compiled step reuses their memory

    def _loss(self, state: State, inputs: Tensor, targets: Tensor, training: bool, weights: Any) -> Any:
        outputs, statistics = self.network.stateless_call(weights, state.statistics, inputs, training=training)
        return self.criterion(targets, outputs[self.last]), (outputs, statistics)

    def loss_and_gradients(self, state: State, inputs: Tensor, targets: Tensor, training: bool) -> Any:
        """jax.vjp of model.stateless_call and the loss, dispatched operation by operation"""
        function = partial(self._loss, state, inputs, targets, training)
        loss, pullback, (outputs, statistics) = jax.vjp(function, state.weights, has_aux=True)
        self.outputs = outputs if self.network is self.watched else {}
        return loss, outputs[self.last], pullback, state._replace(statistics=statistics)

    def evaluate(self, state: State, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        loss, (outputs, _) = self._loss(state, inputs, targets, False, state.weights)
        return loss, outputs[self.last]

    def update(self, state: State, gradients: Sequence[Tensor], lr: float) -> State:
        """keras.optimizers.Adam.stateless_apply(variables, gradients and weight decay, weights)"""
        paths = [variable.path for variable in self.optimizer.variables]
        rate = next(place for place, path in enumerate(paths) if path.endswith("learning_rate"))
        variables = [*state.optimizer[:rate], jnp.asarray(lr, jnp.float32), *state.optimizer[rate + 1 :]]
        decayed = self.decayed(gradients, state.weights)
        weights, variables = self.optimizer.stateless_apply(variables, decayed, state.weights)
        return State(weights, state.statistics, variables)

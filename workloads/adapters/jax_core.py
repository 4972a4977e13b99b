"""What every adapter on JAX has: its devices, asynchronous calls, and jax.jit of the whole step for `--compile`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.functional import FunctionalCore


class JaxCore(FunctionalCore):
    """The first step compiles, operation by operation or as a whole. `loss_and_gradients` passes on a pullback."""

    execution, compiles_in_first_step = "asynchronous", True

    def __init__(self, device: str, architecture: Architecture) -> None:
        jax.config.update("jax_default_device", jax.devices(device)[0])
        super().__init__(device, architecture)

    @classmethod
    def devices(cls) -> Sequence[str]:
        return (jax.default_backend(), "cpu")

    def gradients(self, pending: Any) -> Any:
        """the function of jax.vjp: the gradients, dispatched operation by operation"""
        return pending(jnp.ones(()))[0]

    def compile(self, function: Callable[..., Any], replaces_state: bool) -> Callable[..., Any]:
        """the function of jax.jit: loss, gradients and Adam, dispatched and not waited for"""
        compiled: Callable[..., Any] = jax.jit(function, donate_argnums=(0,) if replaces_state else ())
        return compiled

    def wait(self, values: Sequence[Any]) -> None:
        """jax.block_until_ready(state, gradients, batch)"""
        jax.block_until_ready(values)

"""Keras' backend, which a process chooses once: by a variable, before Keras is imported."""

import os

from epoch_gap.profiler.errors import UserError


def use_backend(name: str) -> None:
    """Let Keras compute on the CPU's PyTorch or on JAX. Raises UserError if it was imported with another backend."""
    os.environ.update({"KERAS_BACKEND": name, "KERAS_TORCH_DEVICE": "cpu"})
    import keras

    if (other := keras.backend.backend()) != name:
        raise UserError(
            f"Keras computes with {other} in this process, and cannot change to {name}; use two processes"
        )

"""A framework as functions: an adapter that derives from `FunctionalCore` has six, and defaults for everything else.

`workloads/adapters/functional_adapter.py` makes a `Framework` of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

from numpy.typing import NDArray

from epoch_gap.profiler.errors import UserError
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.framework import Batch, LayerTimings, ParityAccess, Tensor, Weights


class State(NamedTuple):
    """What a training step changes: the framework's arrays, in any nesting of tuples, lists and dicts."""

    weights: Any
    """the trainable parameters; a dict by canonical name, unless `FunctionalCore.read_weights` is overridden"""
    statistics: Any = ()
    """the running statistics of batch normalisation"""
    optimizer: Any = ()


class Training(Protocol):
    """A training in progress, as `FunctionalCore.parity` needs it."""

    state: State
    pending: Any
    """the gradients, or what `FunctionalCore.gradients` computes them from"""

    @property
    def lr(self) -> float:
        """The learning rate of the current epoch."""


class FunctionalCore(ABC):
    """A framework on one device: six functions that must be there, and others that may.

    A framework that changes its tensors in place may do so in `update`, and return the state that it was given. The
    first line of a docstring is the text of that phase's clock in reports: what is called, in at most 80 characters.
    """

    title: ClassVar[str] = ""
    """the name in reports; empty: that of the class"""
    version: ClassVar[str] = "unknown"
    distribution: ClassVar[str | None] = None
    """the name by which pip knows the framework, for the commit of a version that is no release"""
    execution: ClassVar[str] = "eager"
    """eager: a call returns when its work is done; lazy or asynchronous: `wait` does, so the timing modes differ"""
    compiles_in_first_step: ClassVar[bool] = False
    """whether the first step of a process compiles what later steps reuse, even without `compile`"""
    checkpoint_name: ClassVar[str] = "model"
    """the file name of a checkpoint, with the suffix of its format"""
    layer_timings: LayerTimings | None = None

    def __init__(self, device: str, architecture: Architecture) -> None:
        self.device, self.architecture = device, architecture

    @classmethod
    def devices(cls) -> Sequence[str]:
        """The devices of this machine; `auto` is the first."""
        return ("cpu",)

    @abstractmethod
    def init(self, weights: Weights) -> State:
        """The state before the first step: these weights, running statistics of 0 and 1, and a new optimizer."""

    @abstractmethod
    def to_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The tensors of NumPy's images, float32 (B, 3, rows, columns), and labels, int64 (B,)."""

    @abstractmethod
    def loss_and_gradients(
        self, state: State, inputs: Tensor, targets: Tensor, training: bool
    ) -> tuple[Tensor, Tensor, Any, State]:
        """(mean loss, logits (B, classes), gradients of the weights, state with the new running statistics).

        Without `training`, normalisation uses the running statistics, and the last two results are ignored.
        """

    @abstractmethod
    def update(self, state: State, gradients: Any, lr: float) -> State:
        """The state after a step of Adam (`optimizer.ADAM`), the weight decay added to the gradients."""

    @abstractmethod
    def read(self, tensor: Tensor) -> NDArray[Any]:
        """A copy of a tensor as a NumPy array; waits for it on a lazy or asynchronous device."""

    @abstractmethod
    def wait(self, values: Sequence[Any]) -> None:
        """Return when these tensors are computed. Other values, such as numbers, may be among them."""

    def gradients(self, pending: Any) -> Any:
        """The gradients, of what `loss_and_gradients` returned in their place.

        If it is overridden, `forward` and `backward` are two phases; otherwise `loss_and_gradients` is one.
        """
        return pending

    def zero_grad(self, state: State) -> None:
        """Clear the gradients; a phase if it is overridden."""

    def materialize(self, loss: Tensor) -> None:
        """Compute a lazy loss; a phase if it is overridden."""

    def evaluate(self, state: State, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """(mean loss, logits) of a test batch."""
        loss, logits, _, _ = self.loss_and_gradients(state, inputs, targets, False)
        return loss, logits

    def compile(self, function: Callable[..., Any], replaces_state: bool) -> Callable[..., Any]:
        """The function compiled; `--compile` works if it is overridden.

        With `replaces_state`, the first argument is a state that is not used again: its memory may be.
        """
        return function

    def save(self, state: State, path: Path) -> None:
        """Write the weights to `path`; a phase if it is overridden, and `--checkpoint` is refused otherwise."""

    def read_weights(self, state: State) -> Weights:
        """Copies of the trainable parameters by canonical name; kernels are (out, in, rows, columns)."""
        return {name: self.read(tensor) for name, tensor in state.weights.items()}

    def set_weights(self, state: State, weights: Weights) -> State:
        """The state with other weights."""
        return state._replace(weights=self.init(weights).weights)

    def parity(self, training: Training) -> ParityAccess | None:
        """Access to what the training computes, for `parity`; None if there is none."""
        return None

    def conditions(self) -> Mapping[str, Any]:
        """Conditions that only the framework knows, as JSON: kernels, layout, threads."""
        return {}


def overrides(core: type[FunctionalCore], name: str) -> bool:
    """Whether a class has its own version of an optional function."""
    return getattr(core, name) is not getattr(FunctionalCore, name)


def choose_device(core: type[FunctionalCore], device: str) -> str:
    """The device that `auto` or a name stands for. Raises UserError if this machine does not have it."""
    available = list(dict.fromkeys(core.devices()))
    if device == "auto":
        return available[0]
    if device not in available:
        name, names = core.title or core.__name__, ", ".join(available)
        raise UserError(f"{name} has no device {device!r} on this machine; choose auto or one of: {names}")
    return device


def leaves(tree: Any) -> list[Any]:
    """The values in nested tuples, lists and dicts, without None."""
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, tuple | list):
        return [leaf for part in tree for leaf in leaves(part)]
    return [] if tree is None else [tree]

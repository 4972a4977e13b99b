"""The `Framework` of a functional core: its state, its phases, and defaults for what the core leaves out."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from epoch_gap.profiler.phases import BUILT_IN, Phase
from epoch_gap.workloads.adapters.numpy_loader import NumpyDataset, ShuffledBatches, numpy_collate
from epoch_gap.workloads.framework import (
    LOGGING_CLOCK,
    Batch,
    Images,
    Labels,
    Tensor,
    Weights,
    WrapCollate,
    seed_python,
)
from epoch_gap.workloads.functional import FunctionalCore, State, leaves, overrides
from epoch_gap.workloads.initial_weights import INITIALISATION, draw_weights
from epoch_gap.workloads.optimizer import TORCH_SCHEDULE, StepLR

LONGEST_CLOCK = 80
"""characters of the text of a clock"""
LOSS_AND_GRADIENTS = Phase("loss_and_gradients")
"""forward and backward in one call"""
IN_A_COMPILED_STEP = (Phase.ZERO_GRAD, Phase.FORWARD, Phase.MATERIALIZE, Phase.BACKWARD, Phase.STEP)
IF_OVERRIDDEN = {Phase.ZERO_GRAD: "zero_grad", Phase.MATERIALIZE: "materialize", Phase.CHECKPOINT: "save"}


class FunctionalAdapter:
    """Trains from initial weights that NumPy draws from the seed; the learning rate follows PyTorch's schedule."""

    scripted_usage = None

    def __init__(self, core: FunctionalCore, name: str, seed: int, compiled: bool = False) -> None:
        self.core, self.name, self.architecture = core, name, core.architecture
        self.title, self.version = core.title or type(core).__name__, core.version
        self.distribution = core.distribution
        self.device, self.checkpoint_name = core.device, core.checkpoint_name
        self.phases, self.charged_to = _phases(core, compiled)
        self.clocks = {phase: text for phase, text in _clocks(core).items() if phase in self.phases}
        self.schedule = TORCH_SCHEDULE
        self._epoch = 0
        self._is_training = True
        seed_python(seed)
        self.state = core.init(draw_weights(core.architecture, seed))
        self.pending: Any = None
        self._batch: tuple[Any, ...] = ()
        self._evaluate = core.compile(core.evaluate, False) if compiled else core.evaluate
        self._compiled_step = core.compile(self._whole_step, True) if compiled else None
        self.layer_timings = None if compiled else core.layer_timings
        self.parity = None if compiled else core.parity(self)

    @property
    def lr(self) -> float:
        return self.schedule.lr(self._epoch)

    def parameter_count(self) -> int:
        return sum(array.size for array in self.read_weights().values())

    def loader(
        self,
        images: Images,
        labels: Labels,
        batch_size: int,
        shuffle: bool,
        wrap_collate: WrapCollate,
        order: Sequence[int] | None = None,
    ) -> Iterable[Batch]:
        dataset = NumpyDataset(images, labels)
        return ShuffledBatches(dataset, batch_size, shuffle, wrap_collate(numpy_collate), order)

    def train(self) -> None:
        self._is_training = True

    def to_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        inputs, targets = self._batch = self.core.to_device(batch)
        return inputs, targets

    def zero_grad(self) -> None:
        self.core.zero_grad(self.state)

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        self.pending = None  # frees what is left of the step before
        if not self._is_training:
            loss, logits = self._evaluate(self.state, inputs, targets)
        elif self._compiled_step is not None:
            loss, logits, self.state = self._compiled_step(self.state, inputs, targets, self.lr)
        else:
            loss, logits, pending, state = self.core.loss_and_gradients(self.state, inputs, targets, True)
            self.pending, self.state = pending, state
        self._batch = (inputs, targets, logits, loss)
        return logits, loss

    def materialize(self, loss: Tensor) -> None:
        if self._compiled_step is None:
            self.core.materialize(loss)

    def backward(self, loss: Tensor) -> None:
        if self._compiled_step is None:
            self.pending = self.core.gradients(self.pending)

    def step(self) -> None:
        if self._compiled_step is None:
            self.state = self.core.update(self.state, self.pending, self.lr)

    def _whole_step(self, state: State, inputs: Tensor, targets: Tensor, lr: float) -> tuple[Tensor, Tensor, State]:
        loss, logits, pending, state = self.core.loss_and_gradients(state, inputs, targets, True)
        return loss, logits, self.core.update(state, self.core.gradients(pending), lr)

    def metrics(self, logits: Tensor, loss: Tensor, targets: Tensor) -> tuple[float, float, int, int]:
        value, scores = float(self.core.read(loss)), self.core.read(logits)
        correct = int((scores.argmax(axis=1) == self.core.read(targets)).sum())
        return value, value * len(scores), correct, len(scores)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        self._is_training = False
        yield

    def wait(self) -> None:
        self.core.wait(leaves((self.state, self.pending, self._batch)))

    def end_epoch(self) -> None:
        self._epoch += 1

    def use_schedule(self, schedule: StepLR) -> None:
        self.schedule = schedule

    def read_weights(self) -> Weights:
        return self.core.read_weights(self.state)

    def set_weights(self, weights: Weights) -> None:
        self.state = self.core.set_weights(self.state, weights)

    def save(self, path: Path) -> None:
        self.core.save(self.state, path)

    def describe(self) -> dict[str, Any]:
        is_compiled = self._compiled_step is not None
        dtypes = dict.fromkeys(str(array.dtype) for array in self.read_weights().values())
        return {
            "kernels": f"{self.title} {self.version}",
            "dtype": ", ".join(dtypes),
            "initialisation": INITIALISATION,
            "data_order": "NumPy's permutation",
            "loader": "NumpyDataset, np.stack",
            "schedule": str(self.schedule),
            "execution": f"{self.core.execution}{', the training step compiled' * is_compiled}",
            "compiles_in_first_step": self.core.compiles_in_first_step or is_compiled,
            **self.core.conditions(),
        }


def _phases(core: FunctionalCore, compiled: bool) -> tuple[frozenset[Phase], Mapping[Phase, Phase]]:
    """The phases that the core has, and the phases that get the time of others."""
    kind = type(core)
    lacking = {phase for phase, name in IF_OVERRIDDEN.items() if not overrides(kind, name)}
    if core.execution == "eager":
        lacking.add(Phase.FLUSH)
    phases = BUILT_IN - {Phase.COMPILED} - lacking
    if compiled:
        return phases - {*IN_A_COMPILED_STEP} | {Phase.COMPILED}, dict.fromkeys(IN_A_COMPILED_STEP, Phase.COMPILED)
    if overrides(kind, "gradients"):
        return phases, {}
    both = (Phase.FORWARD, Phase.BACKWARD)
    return phases - {*both} | {LOSS_AND_GRADIENTS}, dict.fromkeys(both, LOSS_AND_GRADIENTS)


def _clocks(core: FunctionalCore) -> dict[Phase, str]:
    """The text of every clock that a core can have."""
    both = _first_line(core, "loss_and_gradients")
    return {
        Phase.EPOCH_START: "iter(loader): np.random.permutation of all indices",
        Phase.FETCH: "dataset[i] of the batch's indices, NumPy views",
        Phase.COLLATE: "np.stack of the images, np.stack of the labels",
        Phase.TO_DEVICE: _first_line(core, "to_device"),
        Phase.ZERO_GRAD: _first_line(core, "zero_grad"),
        Phase.FORWARD: both,
        LOSS_AND_GRADIENTS: both,
        Phase.MATERIALIZE: _first_line(core, "materialize"),
        Phase.BACKWARD: _first_line(core, "gradients"),
        Phase.STEP: _first_line(core, "update"),
        Phase.COMPILED: _first_line(core, "compile"),
        Phase.METRICS: "reads loss, logits and labels into NumPy; argmax, ==, sum there",
        Phase.LOGGING: LOGGING_CLOCK,
        Phase.FLUSH: _first_line(core, "wait"),
        Phase.EVALUATE: "per batch: loader, to_device, loss and logits, and reading them",
        Phase.CHECKPOINT: _first_line(core, "save"),
    }


def _first_line(core: FunctionalCore, name: str) -> str:
    """What a function calls, by its docstring; without one, its name."""
    text = (getattr(type(core), name).__doc__ or "").strip().partition("\n")[0].rstrip(".")
    return textwrap.shorten(text or f"{type(core).__name__}.{name}()", LONGEST_CLOCK, placeholder=" ...")

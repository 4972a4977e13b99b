"""The adapter contract: training (`Framework`), and optionally layer times (`LayerTimings`) and `ParityAccess`.

The methods of `Framework` that the training loop times are named after their phases.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.drilldown.spans import OperatorCategory, Spans
from epoch_gap.profiler.parity.definitions import BatchNormResult
from epoch_gap.profiler.parity.tensors import Array, Tensors
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import ReadUsage
from epoch_gap.workloads.architecture import Architecture
from epoch_gap.workloads.cifar10.resized import ResizedImages
from epoch_gap.workloads.optimizer import StepLR

Images = NDArray[np.float32] | ResizedImages
"""(N, 3, rows, columns)"""
Labels = NDArray[np.int64]
Weights = Mapping[str, NDArray[np.float32]]
"""parameters by canonical name, `layer1.0.conv1.weight`; kernels are (out, in, rows, columns)"""
Batch = Any
"""a batch as the framework's loader yields it"""
Tensor = Any
Collate = Callable[[Any], Batch]
WrapCollate = Callable[[Collate], Collate]
Watch = Callable[[Spans], AbstractContextManager[None]]
"""makes a context in which training steps report spans"""

LOGGING_CLOCK = "tqdm: update() and set_postfix(); its start and close once per epoch"
"""the clock of `logging`, which belongs to the training loop: the same in all frameworks"""


class LayerTimings(Protocol):
    """Times of a framework's layers and operators, for the drill-downs."""

    def layers(self, spans: Spans) -> AbstractContextManager[None]:
        """A context in which every training step reports the time of each layer to `spans`.

        Layers have their canonical names (`Architecture.layers`); time outside them belongs to `network`. On a lazy
        device each layer waits for its result. A framework that computes forward and backward in one call ends these
        phases with `spans.mark`.
        """

    @property
    def operators(self) -> Watch | None:
        """The same for operators, if they need another tool; None if the spans of `layers` name the operators."""

    def category(self, operator: str) -> OperatorCategory:
        """The category of an operator, by its name in the spans."""

    @property
    def peak_rates(self) -> Callable[[], dict[str, float]] | None:
        """Measures the machine's peak rates through the framework (`roofline.measured_rates`); None if it cannot."""


class ParityAccess(Protocol):
    """Reads and sets what a training computes, for `parity`.

    Arrays are copies in canonical names and layouts: kernels (out, in, rows, columns), the linear layer (out, in),
    outputs (B, C, rows, columns) or (B, C). On a lazy device each call waits for what it reads.
    """

    def statistics(self) -> Tensors:
        """The running statistics of batch normalisation: `stem.bn.running_mean`, `stem.bn.running_var`, ..."""

    def gradients(self) -> Tensors:
        """The gradients of the loss, between `backward` and `step`, by the names of the weights."""

    def outputs(self) -> AbstractContextManager[dict[str, Array]]:
        """A context in which `forward` adds the output of each layer (`Architecture.layers`) except the loss.

        A layer's output is copied before a following layer can change it in place.
        """

    def batch_norm(self, layer: str, inputs: Array) -> BatchNormResult:
        """What the network's own batch normalisation `layer` makes of `inputs`, in training mode.

        `inputs` are float32 (B, C, rows, columns). The running statistics start at 0 and 1, and are put back.
        """

    def adam(self, parameter: Array, gradients: Sequence[Array], decays: bool) -> list[Array]:
        """A parameter (N,) after each step of a new optimizer with the training's settings.

        Each step gets the next of `gradients`. The weight decay is that of the training, or 0 without `decays`.
        """

    def cross_entropy(self, logits: Array, targets: Labels) -> float:
        """The training's loss of logits (B, classes) and targets (B,)."""


class Framework(Protocol):
    """One framework on one device, with model, optimizer and schedule ready for training."""

    @property
    def name(self) -> str:
        """The name in the registry."""

    @property
    def title(self) -> str:
        """The name in reports."""

    @property
    def version(self) -> str:
        """The framework's version."""

    @property
    def distribution(self) -> str | None:
        """The name by which pip knows the framework; None: it is no installed package."""

    @property
    def device(self) -> str:
        """The device that was chosen; never `auto`."""

    @property
    def architecture(self) -> Architecture:
        """The network, as data; images have its size."""

    @property
    def phases(self) -> frozenset[Phase]:
        """The phases that the framework has; reports show "n/a" for any other."""

    @property
    def clocks(self) -> Mapping[Phase, str]:
        """The framework's calls that each phase times on this device, at most 80 characters.

        They describe an as-run step; a fenced step also waits. There is a text for each phase but `other`.
        """

    @property
    def charged_to(self) -> Mapping[Phase, Phase]:
        """For each phase that the framework cannot separate from others, the phase that gets its time."""

    @property
    def checkpoint_name(self) -> str:
        """The file name of a checkpoint."""

    @property
    def lr(self) -> float:
        """The learning rate of the current epoch."""

    @property
    def schedule(self) -> StepLR:
        """The learning-rate schedule; `use_schedule` replaces it before the first epoch."""

    @property
    def layer_timings(self) -> LayerTimings | None:
        """The optional capability to time layers and operators; None if the framework lacks it."""

    @property
    def parity(self) -> ParityAccess | None:
        """The optional capability to read and set weights and results; None if the framework lacks it."""

    @property
    def scripted_usage(self) -> ReadUsage | None:
        """Reads scripted resource usage in place of this process's; None except for a scripted framework."""

    def parameter_count(self) -> int:
        """The number of trainable parameters of the model."""

    def loader(
        self,
        images: Images,
        labels: Labels,
        batch_size: int,
        shuffle: bool,
        wrap_collate: WrapCollate,
        order: Sequence[int] | None = None,
    ) -> Iterable[Batch]:
        """The framework's own loader over images (N, 3, rows, columns) and labels (N,).

        It must collate with `wrap_collate(collate)`, where `collate` is its own function. With `order`, which may
        change between two passes, and without `shuffle`, it reads the images of these indices, in this order.
        """

    def train(self) -> None:
        """Put the model into training mode."""

    def to_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Move a batch to the device; return (inputs, targets)."""

    def zero_grad(self) -> None:
        """Clear the gradients."""

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return (logits, mean loss)."""

    def materialize(self, loss: Tensor) -> None:
        """Compute a lazy loss; do nothing in a framework without this phase."""

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients, or request them on a lazy device."""

    def step(self) -> None:
        """Update the parameters, or request the update on a lazy device."""

    def metrics(self, logits: Tensor, loss: Tensor, targets: Tensor) -> tuple[float, float, int, int]:
        """Return (mean loss, summed loss, correct predictions, images) of the batch."""

    def evaluating(self) -> AbstractContextManager[None]:
        """A context for evaluation: no gradients, and the model in evaluation mode until the next `train()`."""

    def wait(self) -> None:
        """Wait for all requested work: inputs, outputs, gradients, parameters, buffers, optimizer state.

        A second call right after the first costs nearly nothing. On an eager device this does nothing.
        """

    def end_epoch(self) -> None:
        """Advance the learning-rate schedule."""

    def use_schedule(self, schedule: StepLR) -> None:
        """Follow another learning-rate schedule, from the first epoch on."""

    def read_weights(self) -> Weights:
        """Copies of all trainable parameters, under the names of `Architecture.parameters`."""

    def set_weights(self, weights: Weights) -> None:
        """Replace the trainable parameters; `weights` has the names and shapes of `read_weights`."""

    def save(self, path: Path) -> None:
        """Write the model's weights to `path`, which has the suffix of `checkpoint_name`."""

    def describe(self) -> dict[str, Any]:
        """Conditions that only the framework knows, as JSON: build, threads, dtype, layout, schedule."""


def seed_python(seed: int) -> None:
    """Seed the generators of Python and NumPy; each adapter seeds its framework's own as well."""
    random.seed(seed)
    np.random.seed(seed)

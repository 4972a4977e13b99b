"""The adapter contract: what the training loop asks of a framework. Methods bear the names of the phases."""

import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.drilldown.spans import Family, Spans
from epoch_gap.profiler.phases import Phase

Images = NDArray[np.float32]
Labels = NDArray[np.int64]
Batch = Any
"""what a framework's loader yields"""
Tensor = Any
Collate = Callable[[Any], Batch]

LOGGING_CLOCK = "tqdm: update() and set_postfix(); its start and close once per epoch"
"""of every framework: the loop's own"""


class Framework(Protocol):
    """One framework on one device, with the model, the optimizer and the schedule set up."""

    @property
    def name(self) -> str:
        """The registry's name."""

    @property
    def title(self) -> str:
        """The name that reports show."""

    @property
    def version(self) -> str:
        """The framework's version."""

    @property
    def device(self) -> str:
        """The device that was chosen; never `auto`."""

    @property
    def phases(self) -> frozenset[Phase]:
        """The phases that this framework has; the time of any other reads "n/a" in every report."""

    @property
    def clocks(self) -> Mapping[Phase, str]:
        """What each phase's clock times on this device, in the framework's own calls, at most 80 characters.

        Of an as-run step; a fenced one waits besides. Every phase that it has but `other`, which is nobody's call.
        """

    @property
    def charged_to(self) -> Mapping[Phase, Phase]:
        """The phase that the time of a phase belongs to which this framework cannot tell from others."""

    @property
    def checkpoint_name(self) -> str:
        """The file name of a checkpoint."""

    @property
    def lr(self) -> float:
        """The learning rate of the running epoch."""

    def parameter_count(self) -> int:
        """Trainable numbers of the model that was built."""

    def loader(
        self,
        images: Images,
        labels: Labels,
        batch_size: int,
        shuffle: bool,
        around: Callable[[Collate], Collate],
    ) -> Iterable[Batch]:
        """The framework's own loader. It must collate through `around(its collate function)`."""

    def train(self) -> None:
        """Put the model into training mode."""

    def to_device(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Make (inputs, targets) on the device."""

    def zero_grad(self) -> None:
        """Forget the gradients."""

    def forward(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Give (logits, loss)."""

    def materialize(self, loss: Tensor) -> None:
        """Have a lazy loss computed; does nothing in a framework without the phase."""

    def backward(self, loss: Tensor) -> None:
        """Ask for the gradients."""

    def step(self) -> None:
        """Ask for the optimizer's update."""

    def metrics(self, logits: Tensor, loss: Tensor, targets: Tensor) -> tuple[float, float, int, int]:
        """Read (mean loss, summed loss, right answers, images) of the batch."""

    def evaluating(self) -> AbstractContextManager[None]:
        """Evaluation mode and no gradients, for as long as the context is open."""

    def wait(self) -> None:
        """Return when everything that was asked for is done: inputs, outputs, gradients, parameters, optimizer state.

        Doing so twice costs nearly nothing the second time. On an eager device it does nothing.
        """

    def end_epoch(self) -> None:
        """Move the learning-rate schedule on."""

    def save(self, path: Path) -> None:
        """Write the model's weights to `path`, which ends like `checkpoint_name`."""

    def layers(self, spans: Spans) -> AbstractContextManager[None]:
        """Report the time of every layer of each training step to `spans`, as long as the context is open.

        Under canonical names (`resnet18.layers`); what is no layer is `network`. On a lazy device a layer waits
        for its result. A framework that goes forward and backward in one call ends the phases by `spans.mark`.
        """

    def operators(self, spans: Spans) -> AbstractContextManager[None]:
        """Report the time of every operator of each training step to `spans`, as `layers` does."""

    def family(self, operator: str) -> Family:
        """The kind of one of the framework's operators, by the name that it has in `spans`."""

    def ceilings(self) -> dict[str, float]:
        """The machine's rates through this framework, as `roofline.rates` gives them; may be empty."""

    def describe(self) -> dict[str, Any]:
        """Conditions that only the framework knows, as JSON: build, threads, dtype, layout, schedule."""


def seed_python(seed: int) -> None:
    """Seed Python's and NumPy's generators; each adapter seeds its framework's own besides."""
    random.seed(seed)
    np.random.seed(seed)

"""The adapter whose contract is checked, and how a rule says that it does not hold."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from epoch_gap.profiler.recording.recorder import Clock
from epoch_gap.workloads.cifar10.load import Cifar10
from epoch_gap.workloads.framework import Batch, Framework

BATCH_SIZE, BATCHES = 4, 2
"""full batches of a short epoch; a batch of one image follows"""


class BrokenRuleError(Exception):
    """A rule does not hold. The message says what was found."""


class NotApplicableError(Exception):
    """A rule cannot be checked here. The message says why."""


@dataclass(frozen=True)
class Subject:
    """An adapter to check. `build` makes a new instance from the same seed, and so does `reference`, of PyTorch."""

    build: Callable[[], Framework]
    reference: Callable[[], Framework] | None
    """None: PyTorch is not installed"""
    data: Cifar10
    """with a few training images: three full batches at least"""
    clock: Clock
    """of the rules that time something"""

    @cached_property
    def first(self) -> Framework:
        """An instance that is only read."""
        return self.build()

    def batches(self, framework: Framework) -> Iterator[Batch]:
        """The same batches, again and again."""
        images, labels, order = self.data.x_train, self.data.y_train, range(BATCH_SIZE * BATCHES)
        while True:
            yield from framework.loader(images, labels, BATCH_SIZE, False, lambda collate: collate, order)

"""The article's training loop, the same for all frameworks: calls a framework and marks phases in between."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import Step
from epoch_gap.profiler.storage.atomic import replace_atomically
from epoch_gap.workloads.framework import Batch, Collate, Framework, WrapCollate
from epoch_gap.workloads.progress import Progress


class ShouldStop(Protocol):
    """Decides after each training step whether to end the training of the epoch. Its time belongs to no phase."""

    def __call__(self, step: Step) -> bool:
        """Whether to stop after `step`, the newest of its epoch."""


class EvaluationPlan(Protocol):
    """When to evaluate, and on how much of the test set. Its decisions take time of no phase."""

    def is_due(self) -> bool:
        """Whether to evaluate now, after a training step and before the next one; at most once per epoch."""

    def ends_after(self, batches: int) -> bool:
        """Whether the evaluation ends after this number of batches, even if the test set has more."""


class EvaluateAtTheEnd:
    """Evaluate on the whole test set, after the training of the epoch."""

    def is_due(self) -> bool:
        """Never within the training."""
        return False

    def ends_after(self, batches: int) -> bool:
        """Never early."""
        return False


AT_THE_END = EvaluateAtTheEnd()


def timed_collate(recorder: Recorder) -> WrapCollate:
    """A wrapper of a loader's collation that ends `fetch` before it and `collate` after it."""

    def wrap_collate(collate: Collate) -> Collate:
        def timed(samples: object) -> Batch:
            recorder.mark(Phase.FETCH)
            batch = collate(samples)
            recorder.mark(Phase.COLLATE)
            return batch

        return timed

    return wrap_collate


def train(
    framework: Framework,
    train_loader: Iterable[Batch],
    test_loader: Iterable[Batch],
    recorder: Recorder,
    progress: Progress,
    *,
    epochs: int,
    should_stop: ShouldStop,
    evaluation: EvaluationPlan = AT_THE_END,
    checkpoint_folder: Path | None = None,
) -> None:
    """Train and evaluate for `epochs` epochs; `should_stop` may end the training of an epoch early.

    Every epoch is evaluated once: when `evaluation` is due, or else after its training.
    """
    for epoch in range(epochs):
        recorder.start_epoch(epoch)
        test = _Test(framework, test_loader, recorder, evaluation)
        train_loss, train_acc = _train_epoch(framework, train_loader, recorder, progress, should_stop, test)
        if test.result is None:
            test.evaluate()
        lr = framework.lr
        framework.end_epoch()
        recorder.mark(Phase.OTHER)
        if checkpoint_folder is not None:
            _checkpoint(framework, checkpoint_folder)
            recorder.mark(Phase.CHECKPOINT)
        recorder.close_outside()
        recorder.close_epoch(lr, train_loss, train_acc, *(test.result or (None, None)))


def _checkpoint(framework: Framework, folder: Path) -> None:
    """Replace the previous checkpoint with a complete new one."""
    with replace_atomically(folder / framework.checkpoint_name) as path:
        framework.save(path)


def _train_epoch(
    framework: Framework,
    loader: Iterable[Batch],
    recorder: Recorder,
    progress: Progress,
    should_stop: ShouldStop,
    test: "_Test",
) -> tuple[float, float]:
    """The mean loss and the accuracy of the epoch's training."""
    framework.train()
    batches = iter(loader)
    recorder.mark(Phase.EPOCH_START)
    progress.start(framework.lr)
    recorder.mark(Phase.LOGGING)
    recorder.close_outside()
    recorder.start_stage("train")
    total_loss, correct, total = 0.0, 0, 0
    for batch in _remaining(batches):
        mark = recorder.mark
        mark(Phase.OTHER)
        inputs, targets = framework.to_device(batch)
        mark(Phase.TO_DEVICE)
        framework.zero_grad()
        mark(Phase.ZERO_GRAD)
        logits, loss = framework.forward(inputs, targets)
        mark(Phase.FORWARD)
        framework.materialize(loss)
        mark(Phase.MATERIALIZE)
        framework.backward(loss)
        mark(Phase.BACKWARD)
        framework.step()
        mark(Phase.STEP)
        batch_loss, loss_sum, hits, images = framework.metrics(logits, loss, targets)
        total_loss += loss_sum
        correct += hits
        total += images
        mark(Phase.METRICS)
        progress.update(total_loss / total, correct / total)
        mark(Phase.LOGGING)
        done = should_stop(recorder.close_step(images, batch_loss, hits))
        recorder.resume()
        if done:
            break
        if test.is_due():
            _flush(framework, recorder)
            recorder.close_outside()
            test.evaluate()
            framework.train()
            recorder.mark(Phase.OTHER)
            recorder.close_outside()
            recorder.start_stage("train")
    _flush(framework, recorder)
    progress.close()
    recorder.mark(Phase.LOGGING)
    recorder.close_outside()
    return total_loss / total, correct / total


def _flush(framework: Framework, recorder: Recorder) -> None:
    """End the training, and wait for the work that its steps have left."""
    recorder.leave_stage()
    recorder.mark(Phase.OTHER)  # the end of the loader
    framework.wait()
    recorder.mark(Phase.FLUSH)


def _remaining(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches, without a second call to iter(), which may start a new epoch in a loader."""
    with contextlib.suppress(StopIteration):
        while True:
            yield next(batches)


class _Test:
    """The evaluation of one epoch."""

    result: tuple[float, float] | None = None
    """the mean loss and the accuracy; None before the evaluation"""

    def __init__(
        self, framework: Framework, loader: Iterable[Batch], recorder: Recorder, plan: EvaluationPlan
    ) -> None:
        self._framework, self._loader, self._recorder, self._plan = framework, loader, recorder, plan

    def is_due(self) -> bool:
        return self.result is None and self._plan.is_due()

    def evaluate(self) -> None:
        framework, recorder = self._framework, self._recorder
        total_loss, correct, total = 0.0, 0, 0
        recorder.start_stage("evaluate")
        with framework.evaluating():
            for number, batch in enumerate(self._loader, start=1):
                inputs, targets = framework.to_device(batch)
                logits, loss = framework.forward(inputs, targets)
                batch_loss, loss_sum, hits, images = framework.metrics(logits, loss, targets)
                total_loss += loss_sum
                correct += hits
                total += images
                recorder.mark(Phase.EVALUATE)
                recorder.close_step(images, batch_loss, hits)
                if self._plan.ends_after(number):
                    break
                recorder.resume()
        self.result = total_loss / total, correct / total

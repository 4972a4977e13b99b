"""The one training loop, the article's: the only place where the recorder and a framework meet."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import Recorder, Step
from epoch_gap.workloads.framework import Batch, Collate, Framework
from epoch_gap.workloads.progress import Progress


class Enough(Protocol):
    """Says after each training step whether the epoch's sample is large enough. Its own time is in no phase."""

    def __call__(self, step: Step) -> bool:
        """Whether to stop after `step`, the newest of its epoch."""


def timed_collate(recorder: Recorder) -> Callable[[Collate], Collate]:
    """Mark where a loader's item reads end and where its collation ends."""

    def around(collate: Collate) -> Collate:
        def timed(samples: object) -> Batch:
            recorder.mark(Phase.FETCH)
            batch = collate(samples)
            recorder.mark(Phase.COLLATE)
            return batch

        return timed

    return around


def train(
    framework: Framework,
    train_loader: Iterable[Batch],
    test_loader: Iterable[Batch],
    recorder: Recorder,
    progress: Progress,
    *,
    epochs: int,
    enough: Enough,
    checkpoint_folder: Path | None = None,
) -> None:
    """Train and evaluate for `epochs` epochs, each cut short when `enough` says so."""
    for epoch in range(epochs):
        recorder.start_epoch(epoch)
        train_loss, train_acc = _train_epoch(framework, train_loader, recorder, progress, enough)
        test_loss, test_acc = _evaluate(framework, test_loader, recorder)
        lr = framework.lr
        framework.end_epoch()
        recorder.mark(Phase.OTHER)
        if checkpoint_folder is not None:
            _checkpoint(framework, checkpoint_folder)
            recorder.mark(Phase.CHECKPOINT)
        recorder.close_outside()
        recorder.close_epoch(lr, train_loss, train_acc, test_loss, test_acc)


def _checkpoint(framework: Framework, folder: Path) -> None:
    """Replace the last checkpoint when the new one is whole."""
    partial = folder / f"partial-{framework.checkpoint_name}"
    framework.save(partial)
    partial.replace(folder / framework.checkpoint_name)


def _train_epoch(
    framework: Framework, loader: Iterable[Batch], recorder: Recorder, progress: Progress, enough: Enough
) -> tuple[float, float]:
    framework.train()
    batches = iter(loader)
    recorder.mark(Phase.EPOCH_START)
    progress.start(framework.lr)
    recorder.mark(Phase.LOGGING)
    recorder.close_outside()
    recorder.start_stage("train")
    total_loss, correct, total = 0.0, 0, 0
    for batch in _rest(batches):
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
        done = enough(recorder.close_step(images, batch_loss, hits))
        recorder.resume()
        if done:
            break
    recorder.leave_stage()
    recorder.mark(Phase.OTHER)  # the loader's end
    framework.wait()
    recorder.mark(Phase.FLUSH)
    progress.close()
    recorder.mark(Phase.LOGGING)
    recorder.close_outside()
    return total_loss / total, correct / total


def _rest(batches: Iterator[Batch]) -> Iterator[Batch]:
    """What `batches` yields, without calling iter() on it again: an iterator may take that for a new epoch."""
    with contextlib.suppress(StopIteration):
        while True:
            yield next(batches)


def _evaluate(framework: Framework, loader: Iterable[Batch], recorder: Recorder) -> tuple[float, float]:
    total_loss, correct, total = 0.0, 0, 0
    recorder.start_stage("evaluate")
    with framework.evaluating():
        for batch in loader:
            inputs, targets = framework.to_device(batch)
            logits, loss = framework.forward(inputs, targets)
            batch_loss, loss_sum, hits, images = framework.metrics(logits, loss, targets)
            total_loss += loss_sum
            correct += hits
            total += images
            recorder.mark(Phase.EVALUATE)
            recorder.close_step(images, batch_loss, hits)
    return total_loss / total, correct / total

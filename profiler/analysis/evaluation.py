"""The seconds of a full evaluation, from the test batches that were evaluated."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from epoch_gap.profiler.analysis.stats import Estimate, mean
from epoch_gap.profiler.analysis.step_selection import counts_as_full
from epoch_gap.profiler.storage.run import Run, StepTable

LEAST_BATCHES = 3
"""The fewest batches of a sample: the first, which is slower, and two that tell their spread."""


def estimate_evaluation(
    run: Run, seconds_of: Callable[[StepTable], NDArray[np.float64]], is_finite: bool
) -> Estimate | None:
    """Seconds per epoch in full evaluations, `seconds_of` each batch added up; None without a batch.

    The first batch is slower than the others, as a first step is, so it stands for itself and the others for all
    others. With `is_finite`, the interval is for this process's own epochs.
    """
    test_images = run.manifest.full_epoch.test_images
    full, size = _select(run.evaluate, test_images)
    if not size or not test_images:
        return None
    evaluations = _evaluations_per_epoch(run)
    batches = test_images / size * evaluations
    epochs = len(np.unique(full.epoch))
    first, later = _split(full)
    sample = mean(seconds_of(later if len(later) > 1 else full), int(batches) * epochs if is_finite else None)
    value = float(seconds_of(later).mean()) * batches
    if len(first):
        value += (float(seconds_of(first).mean()) - value / batches) * evaluations
    return replace(sample.scaled(batches), value=value)


def _select(evaluate: StepTable, test_images: int) -> tuple[StepTable, float]:
    """The test batches that count, and their mean number of images: the largest ones, or all where sizes vary."""
    size = int(evaluate.images.max(initial=0))
    passes = math.ceil(int(evaluate.images.sum()) / test_images) if test_images else 0
    full = evaluate.where(counts_as_full(evaluate, size, passes))
    return full, float(full.images.mean()) if len(full) else 0.0


def _split(full: StepTable) -> tuple[StepTable, StepTable]:
    """The first batch of each epoch's evaluation, which is slower as a first step is, and the later ones.

    All are later ones if there are no others.
    """
    is_first = np.ones(len(full), np.bool_)
    is_first[1:] = full.epoch[1:] != full.epoch[:-1]
    return (full.where(is_first), full.where(~is_first)) if not is_first.all() else (full.where(~is_first), full)


def _evaluations_per_epoch(run: Run) -> int:
    """How often the run's finished epochs evaluated all test images; once, unless it was a whole number of times."""
    finished = [epoch.epoch for epoch in run.epochs]
    images = int(run.evaluate.images[np.isin(run.evaluate.epoch, finished)].sum())
    whole = run.manifest.full_epoch.test_images * len(finished)
    return images // whole if whole and images and images % whole == 0 else 1

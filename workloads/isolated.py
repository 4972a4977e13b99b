"""Time two variants of a piece of work in isolation, on the same arrays, for the prediction rule `Ratio`."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from epoch_gap.workloads.framework import Batch
from epoch_gap.workloads.intervention import Workload

REPEATS = 12
"""pairs of calls; the first two warm up"""
WARM_UP = 2


def time_variants(
    make: Callable[..., tuple[Callable[[], Any], Callable[[], Any]]],
    workload: Workload,
    batches: Iterable[Batch],
    batch_size: int,
) -> list[float]:
    """The new variant's time over the present one's, one ratio per pair of calls, in turns.

    `make` returns (present, new). It gets what its parameters name: `workload`, `framework`, `images`, `labels`,
    `indices` of one batch, or `logits`, `loss` and `targets` of one forward pass.
    """
    present, new = make(**_named(make, workload, batches, batch_size))
    wait, clock = workload.framework.wait, workload.recorder.clock

    def seconds(call: Callable[[], Any]) -> int:
        start = clock()
        call()
        wait()
        return clock() - start

    ratios = []
    for number in range(REPEATS):
        first, second = (present, new) if number % 2 == 0 else (new, present)
        times = [seconds(first), seconds(second)]
        old_ns, new_ns = times if number % 2 == 0 else times[::-1]
        ratios.append(new_ns / max(1, old_ns))
    return ratios[WARM_UP:]


def _named(make: Callable[..., Any], workload: Workload, batches: Iterable[Batch], batch_size: int) -> dict[str, Any]:
    wanted = inspect.signature(make).parameters
    known: dict[str, Any] = {
        "workload": workload,
        "framework": workload.framework,
        "images": workload.images,
        "labels": workload.labels,
        "indices": list(range(batch_size)),
    }
    if wanted.keys() & {"logits", "loss", "targets"}:
        inputs, targets = workload.framework.to_device(next(iter(batches)))
        logits, loss = workload.framework.forward(inputs, targets)
        workload.framework.materialize(loss)
        known |= {"logits": logits, "loss": loss, "targets": targets}
    return {name: known[name] for name in wanted}

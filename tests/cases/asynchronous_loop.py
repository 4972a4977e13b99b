"""A loop of asyncio, in which other tasks run while it waits for a batch."""

import asyncio
import time

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase


async def fetch() -> None:
    """Wait for a batch."""
    await asyncio.sleep(0)
    time.sleep(0.005)


async def serve() -> None:
    """Another task."""
    for _ in range(3):
        await asyncio.sleep(0)


async def train() -> None:
    """One epoch."""
    clocks = {Phase.FETCH: "await fetch()", Phase.FORWARD: "sleep"}
    with recording(RUNS, "mine", "1", clocks, batch_size=10, train_images=100) as recorder, recorder.epoch(0):
        other = asyncio.create_task(serve())
        for _ in range(10):
            with recorder.step(10) as step:
                await fetch()
                step.mark(Phase.FETCH)
                time.sleep(0.010)
                step.mark(Phase.FORWARD)
        await other


asyncio.run(train())

EXPECTED = {"train": 10, "seconds": {"fetch": 0.05, "forward": 0.1}}

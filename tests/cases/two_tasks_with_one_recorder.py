"""Two tasks of asyncio record into one recorder: their steps would overlap."""

import asyncio
import time
from typing import Any

from epoch_gap.profiler.instrument import recording
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.recorder import MisuseError


async def train(recorder: Any) -> None:
    """A step that waits for its batch."""
    with recorder.step(10):
        await asyncio.sleep(0)
        time.sleep(0.010)


async def both(recorder: Any) -> None:
    """Two trainings at once."""
    await asyncio.gather(train(recorder), train(recorder))


try:
    with recording(RUNS, "mine", "1", {Phase.FORWARD: "sleep"}, batch_size=10, train_images=100) as recorder:
        recorder.start_epoch(0)
        asyncio.run(both(recorder))
except MisuseError as refusal:
    error = refusal

REFUSED = (MisuseError, "step() within step()")

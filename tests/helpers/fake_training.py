"""The scripted fake, trained on a clock that only its busy-waits move."""

import io
from pathlib import Path

import numpy as np

from epoch_gap.profiler.analysis.stopping import StoppingRule
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES, Schedule
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.profiler.recording.records import Sink
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.profiler.storage.writer import create_run
from epoch_gap.workloads import loop
from epoch_gap.workloads.adapters.fake import Fake
from epoch_gap.workloads.cifar10.synthetic import make_synthetic
from epoch_gap.workloads.progress import Progress
from tests.helpers.clocks import TickingClock
from tests.helpers.runs import manifest

COSTS = "epoch_start=3,fetch=1,collate=2,to_device=4,zero_grad=5,forward=10,backward=20,step=6,metrics=7,evaluate=9"


def train_into(
    sink: Sink,
    clock: TickingClock,
    lazy: bool,
    costs: str,
    images: int,
    schedule: Schedule = POLICIES["none"],
    **script: str,
) -> None:
    """`script` holds the fake's `system` and `faults`."""
    fake = Fake(42, 10, costs, lazy, clock, **script)
    recorder = Recorder(fake.phases, sink, clock, schedule=schedule, wait=fake.wait, read_usage=fake.scripted_usage)
    made = make_synthetic(images, 10, 1)
    x, y = made.x_train.astype(np.float32), made.y_train.astype(np.int64)
    loop.train(
        fake,
        fake.loader(x, y, 10, True, loop.timed_collate(recorder)),
        fake.loader(x[:10], y[:10], 10, False, lambda collate: collate),
        recorder,
        Progress("fake", None, 3, io.StringIO()),
        epochs=1,
        should_stop=StoppingRule(10, images),
    )


def scripted_run(
    folder: Path, lazy: bool, fence: str = "alternate", costs: str = COSTS, images: int = 400, **script: str
) -> Run:
    """A stored run of the fake; `script` holds its `system` and `faults`."""
    clock = TickingClock()
    label = f"{'lazy' if lazy else 'eager'} {fence}"
    phases = sorted(set(Phase) - (set() if lazy else {Phase.MATERIALIZE, Phase.FLUSH}))
    writer = create_run(folder, manifest(config={"label": label}, framework={"phases": phases}))
    train_into(writer, clock, lazy, costs, images=images, schedule=POLICIES[fence], **script)
    writer.finish("complete")
    return read_run(writer.path)

"""The public API for custom training loops: a recorder whose steps are stored as a run."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.canary import read_machine, rss_bytes
from epoch_gap.profiler.machine.environment import read_environment
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.machine.usage import read_usage, usage_cost_ns
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.recording.recorder import Clock, Recorder, mark_cost_ns
from epoch_gap.profiler.recording.records import Reading
from epoch_gap.profiler.storage.final_status import store_final_status
from epoch_gap.profiler.storage.manifest import (
    Config,
    DataInfo,
    DataKind,
    EpochSize,
    FrameworkInfo,
    Manifest,
)
from epoch_gap.profiler.storage.writer import create_run

READ_EVERY_NS = 1_000_000_000
"""The shortest time between two readings of the machine: each takes about 50 ms and would slow down short steps."""


@contextmanager
def recording(
    runs_dir: str | Path,
    name: str,
    version: str,
    clocks: Mapping[Phase, str],
    *,
    batch_size: int,
    train_images: int,
    test_images: int = 0,
    data: str = "unnamed",
    device: str = "cpu",
    label: str = "",
    wait: Callable[[], None] | None = None,
    allow_busy: bool = False,
    **conditions: Any,
) -> Iterator[Recorder]:
    """Yield a recorder for a custom training loop, and store its steps as a run in `runs_dir`.

    `name` (of the framework) and `version` may be any text. `clocks` maps each phase that the loop marks to a
    description of its clock. The time of any other mark is charged to `other`, and that of an evaluation's batches to
    `evaluate`. A full epoch has `train_images` and `test_images` samples, in steps of `batch_size`. Two runs are
    comparable if `batch_size` and `data`, the name of the data set, are equal. With `wait`, a function that returns
    once all requested work is done, as-run and fenced steps alternate. `conditions` (JSON values) are stored with the
    framework and compared: `dtype="float32"`, `threads=4`.

    Raises UserError if `runs_dir` is not writable, a size is not a whole number, a condition is not JSON, or another
    timed run is in progress (unless `allow_busy`); in that case nothing is stored.
    """
    batch_size = _whole("batch_size", batch_size)
    train_images = _whole("train_images", train_images)
    test_images = _whole("test_images", test_images)
    session = secrets.token_hex(4)
    fence = "none" if wait is None else "alternate"
    phases = {*clocks, Phase.OTHER} | ({Phase.EVALUATE} if test_images else set())
    manifest = Manifest(
        config=Config(framework=str(name), label=str(label or ""), preset="own", batch_size=batch_size, fence=fence),
        session=session,
        framework=FrameworkInfo(
            name=str(name),
            title=str(name),
            version=str(version),
            device=str(device),
            phases=tuple(sorted(phases)),
            clocks={str(phase): text for phase, text in clocks.items()},
            conditions=conditions,
        ),
        data=DataInfo(kind=DataKind.CUSTOM, source=str(data), train_images=train_images, test_images=test_images),
        full_epoch=EpochSize(train_images=train_images, test_images=test_images),
        mark_cost_ns=mark_cost_ns(),
        usage_cost_ns=usage_cost_ns(),
        environment=read_environment(),
    )
    with hold_run_lock(session, allow_others=allow_busy) as lock:
        writer = create_run(Path(runs_dir), manifest)
        recorder = Recorder(
            phases,
            writer,
            schedule=POLICIES[fence],
            wait=wait or (lambda: None),
            read_machine=at_intervals(lambda: read_machine(lock.count_other_sessions)),
            rss_bytes=rss_bytes,
            read_usage=read_usage,
        )
        with store_final_status(writer):
            try:
                yield recorder
            finally:
                recorder.flush()


def _whole(name: str, value: Any) -> int:
    """A size as an int, NumPy's integers and whole floats included. Raises UserError if it is not a whole number."""
    try:
        whole = int(value)
        if not isinstance(value, str) and whole == value:
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserError(f"recording(): {name} must be a whole number, not {value!r}")


def at_intervals(read: Callable[[], Reading], clock: Clock = time.perf_counter_ns) -> Callable[[], Reading | None]:
    """`read`, except that it returns None if the last reading is less than `READ_EVERY_NS` ago."""
    due = clock()

    def read_if_due() -> Reading | None:
        nonlocal due
        if clock() < due:
            return None
        reading = read()
        due = clock() + READ_EVERY_NS
        return reading

    return read_if_due

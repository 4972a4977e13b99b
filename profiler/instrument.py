"""The public API for custom training loops: a recorder whose steps are stored as a run."""

import os
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.canary import read_machine, rss_bytes
from epoch_gap.profiler.machine.environment import read_environment
from epoch_gap.profiler.machine.rank import read_rank, shared_session
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.machine.usage import read_usage, usage_cost_ns
from epoch_gap.profiler.phases import RESERVED, Phase, in_order
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.recording.recorder import Clock, Recorder, mark_cost_ns
from epoch_gap.profiler.recording.records import Reading
from epoch_gap.profiler.storage.final_status import store_final_status
from epoch_gap.profiler.storage.manifest import (
    STREAM,
    Config,
    DataInfo,
    DataKind,
    EpochSize,
    FrameworkInfo,
    Manifest,
)
from epoch_gap.profiler.storage.tolerant_writer import TolerantWriter, warn
from epoch_gap.profiler.storage.writer import create_run

Clocks = Mapping[str, str] | Mapping[Phase, str]
"""a description of each phase's clock"""
READ_EVERY_NS = 1_000_000_000
"""The shortest time between two readings of the machine: each takes about 50 ms and would slow down short steps."""


@contextmanager
def recording(
    runs_dir: str | Path,
    name: str,
    version: str,
    clocks: Clocks,
    *,
    batch_size: int,
    train_images: int | None,
    test_images: int = 0,
    unit: str = "images",
    data: str = "unnamed",
    device: str = "cpu",
    label: str = "",
    wait: Callable[[], None] | None = None,
    allow_busy: bool = False,
    **conditions: Any,
) -> Iterator[Recorder]:
    """Yield a recorder for a custom training loop, and store its steps as a run in `runs_dir`.

    `name` (of the framework) and `version` may be any text. `clocks` maps each phase that the loop marks to a
    description of its clock: built-in phases, and phases of the loop's own, such as `"clip_grad"`, in the order in
    which they are shown. The time of any other built-in phase is charged to `other`, and that of an evaluation's
    batches to `evaluate`. A full epoch has `train_images` and `test_images` samples, in steps of `batch_size`; with
    `train_images=None`, for a stream that has no length, all figures are per 1000 images. `unit` names what all sizes
    count, if it is not images: tokens, or steps.

    Two runs are comparable if these sizes and `data`, the name of the data set, are equal. With `wait`, a function
    that returns once all requested work is done, as-run and fenced steps alternate. `conditions` (JSON values) are
    stored with the framework and compared: `dtype="float32"`, `threads=4`.

    A file that can no longer be written (a full disk) is one warning, and the training goes on unrecorded.

    Raises UserError if `runs_dir` is not writable, a size is not a whole number, a clock's name can be no phase, a
    condition is not JSON, or another timed run is in progress (unless `allow_busy`); in that case nothing is stored.
    """
    batch_size = _whole("batch_size", batch_size, least=1)
    test_images = _whole("test_images", test_images, least=0)
    is_stream = train_images is None
    train_images = 0 if is_stream else _whole("train_images", train_images, least=1, hint=", or None for a stream")
    unit = str(unit)
    own_clocks = {_phase(name): str(text) for name, text in clocks.items()}
    session = shared_session() or os.urandom(4).hex()
    fence = "none" if wait is None else "alternate"
    phases = in_order([*own_clocks, Phase.OTHER, *([Phase.EVALUATE] if test_images else [])])
    manifest = Manifest(
        config=Config(framework=str(name), label=str(label or ""), preset="own", batch_size=batch_size, fence=fence),
        session=session,
        framework=FrameworkInfo(
            name=str(name),
            title=str(name),
            version=str(version),
            device=str(device),
            phases=tuple(phases),
            clocks={str(phase): text for phase, text in own_clocks.items()},
            conditions=conditions,
        ),
        data=DataInfo(kind=DataKind.CUSTOM, source=str(data), train_images=train_images, test_images=test_images),
        full_epoch=EpochSize(train_images=STREAM, test_images=0, unit=unit, is_stream=True)
        if is_stream
        else EpochSize(train_images=train_images, test_images=test_images, unit=unit),
        mark_cost_ns=mark_cost_ns(),
        usage_cost_ns=usage_cost_ns(),
        environment=read_environment(),
        rank=read_rank(),
    )
    remedy = "pass allow_busy=True to record anyway"
    with hold_run_lock(session, allow_others=allow_busy, how_to_allow=remedy) as lock:
        writer = TolerantWriter(create_run(Path(runs_dir), manifest))
        recorder = Recorder(
            phases,
            writer,
            schedule=POLICIES[fence],
            wait=wait or (lambda: None),
            read_machine=at_intervals(lambda: read_machine(lock.count_other_sessions)),
            rss_bytes=rss_bytes,
            read_usage=read_usage,
        )
        _ignore_marks_of_children(recorder)
        with store_final_status(writer):
            try:
                yield recorder
            finally:
                recorder.flush()
                recorder.close()


def _ignore_marks_of_children(recorder: Recorder) -> None:
    """In a forked child, such as a data loader's worker, warn at the first mark: it would be lost in silence."""
    known = weakref.ref(recorder)
    is_told = False

    def notice(phase: str) -> None:
        nonlocal is_told
        if not is_told:
            is_told = True
            warn(f"the mark {phase} in process {os.getpid()}, a child of the one that records, is not recorded")

    def in_child() -> None:
        if (inherited := known()) is not None:
            inherited.ignore_marks(notice)

    os.register_at_fork(after_in_child=in_child)


def _phase(name: str) -> Phase:
    """A phase by its name. Raises UserError for a name that can be no column of a table."""
    try:
        return Phase(name)
    except ValueError:
        raise UserError(
            f"recording(): clocks has {name!r}, which can be no phase: a phase of your own has lower-case letters, "
            f"digits and underscores, and is none of {', '.join(sorted(RESERVED))}"
        ) from None


def _whole(name: str, value: Any, least: int, hint: str = "") -> int:
    """A size as an int, NumPy's integers and whole floats included. Raises UserError if it is none or too small."""
    try:
        whole = int(value)
        if not isinstance(value, str) and whole == value and whole >= least:
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserError(f"recording(): {name} must be a whole number of at least {least}{hint}, not {value!r}")


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

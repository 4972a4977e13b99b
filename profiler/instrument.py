"""For a training loop of your own: a recorder whose steps are stored as a run, with what is known of it."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine import canary, environment
from epoch_gap.profiler.machine import run_lock as busy
from epoch_gap.profiler.phases import Phase
from epoch_gap.profiler.recording.fencing import POLICIES
from epoch_gap.profiler.recording.recorder import Clock, Reading, Recorder, mark_cost_ns
from epoch_gap.profiler.storage import store

LOOK_EVERY_NS = 1_000_000_000
"""between two readings of the machine, which take about 50 ms: a loop of short steps is not held up by them"""


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
    """Give a recorder for a loop of your own, and store what it records as a run below `runs_dir`.

    `name` (of the framework) and `version` may be any text. `clocks` has the phases that the loop marks, each with
    what it times; the time of any other mark is charged to `other`, that of an evaluation's batches to `evaluate`. An
    epoch is `train_images` and `test_images` samples, in full steps of `batch_size`. Runs compare where batch size
    and `data`, the name of the data set, are the same. With `wait`, which returns when all asked-for work is done,
    steps alternate between as-run and fenced ones. `conditions` (JSON) are kept as the framework's, and compared:
    `dtype="float32"`, `threads=4`.

    Raises UserError where `runs_dir` cannot be written to, a condition is no JSON, or another timed run is going on
    (unless `allow_busy`); then nothing is stored.
    """
    session = secrets.token_hex(4)
    fence = "none" if wait is None else "alternate"
    phases = {*clocks, Phase.OTHER} | ({Phase.EVALUATE} if test_images else set())
    manifest = {
        "config": {"framework": name, "label": label, "preset": "own", "batch_size": batch_size, "fence": fence},
        "session": session,
        "framework": {
            **conditions, "name": name, "title": name, "version": version, "device": device,
            "phases": sorted(phases), "clocks": dict(clocks),
        },
        "data": {
            "kind": "own", "source": data, "sha256": None,
            "train_images": train_images, "test_images": test_images,
        },
        "full_epoch": {"train_images": train_images, "test_images": test_images},
        "mark_cost_ns": mark_cost_ns(),
        "environment": environment.collect(),
    }  # fmt: skip
    try:
        json.dumps(manifest)
    except (TypeError, ValueError) as error:
        raise UserError(f"recording() was given what JSON cannot hold: {error}") from None
    with busy.present(session, allow_others=allow_busy) as presence:
        writer = store.create(Path(runs_dir), name, device, manifest)
        recorder = Recorder(
            phases,
            writer,
            schedule=POLICIES[fence],
            wait=wait or (lambda: None),
            look=now_and_then(lambda: canary.read(presence.others)),
            rss_bytes=canary.rss_bytes,
        )
        with ending(writer):
            try:
                yield recorder
            finally:
                recorder.flush()


@contextmanager
def ending(writer: store.RunWriter) -> Iterator[None]:
    """When the context ends, store how it ended (complete, interrupted by Ctrl-C, or failed) and close the run."""
    status = "failed"
    try:
        yield
        status = "complete"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    except Exception as error:
        writer.event("error", f"{type(error).__name__}: {error}")
        raise
    finally:
        writer.update({"peak_rss_bytes": canary.peak_rss_bytes()})
        writer.finish(status)


def now_and_then(read: Callable[[], Reading], clock: Clock = time.perf_counter_ns) -> Callable[[], Reading | None]:
    """`read`, but None where the last reading is less than `LOOK_EVERY_NS` ago."""
    due = clock()

    def look() -> Reading | None:
        nonlocal due
        if clock() < due:
            return None
        reading = read()
        due = clock() + LOOK_EVERY_NS
        return reading

    return look

"""A run as Arrow tables, as CSV, Parquet or JSON. Columns: docs/data-dictionary.md."""

import json
import math
from collections.abc import Callable, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.comparison.subject import Subject
from epoch_gap.profiler.phases import Phase, all_phases
from epoch_gap.profiler.recording.fencing import TimingMode
from epoch_gap.profiler.recording.records import USAGE_FIELDS
from epoch_gap.profiler.storage.run import UNKNOWN, Run, StepTable

EPOCHS_TABLE_COLUMNS = {
    **dict.fromkeys(("epoch", "wall_ns", "paused_ns"), pa.int64()),
    **dict.fromkeys(("lr", "train_loss", "train_acc", "test_loss", "test_acc"), pa.float64()),
}
_NO_PHASE_USAGE = pa.table(
    {
        **{name: pa.array([], pa.int64()) for name in ("epoch", "step")},
        "phase": pa.array([], pa.string()),
        **{name: pa.array([], pa.int64()) for name in USAGE_FIELDS},
    }
)
PHASES_TABLE_COLUMNS = {
    **dict.fromkeys(("ledger", "phase"), pa.string()),
    **dict.fromkeys(("seconds_per_epoch", "low_s", "high_s", "share"), pa.float64()),
}


def steps_table(run: Run) -> pa.Table:
    """A row per batch in order, training before evaluation; a phase that a stage does not have is null."""
    phases = all_phases(run.framework.own_phases)
    return pa.concat_tables([_steps("train", run.train, phases), _steps("evaluate", run.evaluate, phases)])


def _steps(stage: str, table: StepTable, phases: Sequence[Phase]) -> pa.Table:
    columns = {
        "stage": pa.repeat(stage, len(table)),
        "epoch": pa.array(table.epoch),
        "step": pa.array(table.index),
        "ledger": pc.if_else(pa.array(table.fenced), str(TimingMode.FENCED), str(TimingMode.ASRUN)),
        "images": pa.array(table.images),
        "loss": pa.array(table.loss, from_pandas=True),  # null where training diverged
        "correct": pa.array(table.correct, mask=table.correct == UNKNOWN),
        "start_ns": pa.array(table.start_ns),
        "wall_ns": pa.array(table.wall_ns),
        "rss_bytes": pa.array(table.rss_bytes, mask=table.rss_bytes == 0),
    }
    counted = table.usage.columns() if table.usage is not None else {}
    for name in USAGE_FIELDS:
        columns[name] = pa.array(counted[name]) if counted else pa.nulls(len(table), pa.int64())
    for phase in phases:
        ns = table.phase_ns.get(phase)
        columns[f"{phase}_ns"] = pa.nulls(len(table), pa.int64()) if ns is None else pa.array(ns)
    return pa.table(columns)


def phase_usage_table(run: Run) -> pa.Table:
    """A row per fenced training step and phase: the resource usage of that phase; no rows without fenced steps."""
    steps = run.train.where(run.train.fenced)
    tables = [
        pa.table(
            {
                "epoch": pa.array(steps.epoch),
                "step": pa.array(steps.index),
                "phase": pa.repeat(str(phase), len(steps)),
                **{name: pa.array(column) for name, column in usage.columns().items()},
            }
        )
        for phase, usage in steps.phase_usage.items()
    ]
    return pa.concat_tables([_NO_PHASE_USAGE, *tables]).sort_by([("epoch", "ascending"), ("step", "ascending")])


def collectives_table(run: Run) -> pa.Table:
    """A row per collective of a training step; no rows for a process that trained alone."""
    table = run.collectives
    return pa.table(
        {
            "epoch": pa.array(table.epoch),
            "step": pa.array(table.step),
            "phase": pa.array([str(phase) for phase in table.phase], pa.string()),
            "kind": pa.array([str(kind) for kind in table.kind], pa.string()),
            "bytes": pa.array(table.bytes),
            "ready_ns": pa.array(table.ready_ns),
            "done_ns": pa.array(table.done_ns),
        }
    )


def epochs_table(run: Run) -> pa.Table:
    """A row per finished epoch; `<phase>_ns` is the time outside its training steps."""
    columns = {
        name: pa.array([getattr(e, name) for e in run.epochs], kind, from_pandas=True)
        for name, kind in EPOCHS_TABLE_COLUMNS.items()
    }
    for phase in all_phases(run.framework.own_phases):
        columns[f"{phase}_ns"] = pa.array([e.durations.get(phase) for e in run.epochs], pa.int64())
    return pa.table(columns)


def phases_table(subject: Subject | None) -> pa.Table:
    """A row per timing mode and phase: seconds per full epoch; no rows without a subject."""
    modes = [(TimingMode.ASRUN, subject)] if subject else []
    if subject and subject.fenced:
        modes.append((TimingMode.FENCED, subject.fenced))
    rows = [[mode, *row] for mode, s in modes for row in _phases(s.epoch)]
    kinds = enumerate(PHASES_TABLE_COLUMNS.items())
    return pa.table({name: pa.array([row[i] for row in rows], kind) for i, (name, kind) in kinds})


def _phases(epoch: EpochEstimate) -> list[Sequence[str | float | None]]:
    rows: list[Sequence[str | float | None]] = []
    for phase in epoch.listed:
        i = epoch.interval(phase)
        rows.append([phase, i.value, i.low, i.high, i.value / epoch.total.value] if i else [phase, *[None] * 4])
    return rows


def _csv(table: pa.Table, stream: IO[bytes]) -> None:
    pyarrow.csv.write_csv(table, stream)


def _parquet(table: pa.Table, stream: IO[bytes]) -> None:
    pyarrow.parquet.write_table(table, stream)


def _json(table: pa.Table, stream: IO[bytes]) -> None:
    """One object with a list per column; strict JSON, so a value that is not finite is null."""
    for i, name in enumerate(table.column_names):
        text = json.dumps(_plain(table[name]), separators=(",", ":"), allow_nan=False)
        stream.write(f"{',' if i else '{'}\n{json.dumps(name)}: {text}".encode())
    stream.write(b"\n}\n")


def _plain(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_floating(column.type):
        return [v if v is not None and math.isfinite(v) else None for v in column.to_pylist()]
    values: list[Any] = column.to_pylist() if column.null_count else column.to_numpy().tolist()
    return values


WRITERS: dict[str, Callable[[pa.Table, IO[bytes]], None]] = {"csv": _csv, "parquet": _parquet, "json": _json}
"""The functions that write a table into an open stream, by format."""

"""The tables of a scaling measurement."""

import csv
import io
from collections.abc import Mapping, Sequence

from epoch_gap.profiler.analysis.stats import Estimate, Interval
from epoch_gap.profiler.distributed.communication import COMMUNICATION
from epoch_gap.profiler.distributed.scaling import ScaledPoint, ScalingMode
from epoch_gap.profiler.phases import Phase, in_order
from epoch_gap.reports import formats


def scaling_rows(points: Sequence[ScaledPoint]) -> list[list[str]]:
    """One row per number of ranks."""
    rows = [["", "threads", "batch", "epoch", "ideal", "speed-up", "efficiency"]]
    for scaled in points:
        point = scaled.point
        rows.append(
            [
                point.title,
                point.threads,
                f"{point.batch_size} x {point.ranks}",
                formats.interval(point.epoch.seconds),
                formats.seconds(scaled.ideal),
                _times(scaled.speedup),
                efficiency_text(scaled),
            ]
        )
    return rows


def _times(value: Interval) -> str:
    return f"{formats.times(value.value)} ({formats.within(value.low, value.high, 'x')})"


def efficiency_text(scaled: ScaledPoint) -> str:
    """The efficiency with its interval: `86.3 % (85 to 87 %)`."""
    value = scaled.efficiency
    return f"{formats.percent(value.value)} ({formats.within_percent(value.low, value.high)})"


def loss_rows(points: Sequence[ScaledPoint]) -> list[list[str]]:
    """Seconds per epoch beyond the ideal, by phase, of all but the baseline; the group of communication last."""
    beyond = points[1:]
    rows = [["lost per epoch", *(scaled.point.title for scaled in beyond)]]
    for phase in lost_phases(beyond):
        rows.append([str(phase), *(_lost(scaled.lost_by_phase.get(phase)) for scaled in beyond)])
    return [*rows, ["all", *(_lost(scaled.lost) for scaled in beyond)]]


def lost_phases(points: Sequence[ScaledPoint]) -> list[Phase]:
    """The phases with any loss, in display order, communication last."""
    named = in_order(phase for scaled in points for phase, lost in scaled.lost_by_phase.items() if lost.value)
    return [*(p for p in named if p not in COMMUNICATION), *(p for p in COMMUNICATION if p in named)]


def _lost(lost: Estimate | None) -> str:
    return "n/a" if lost is None else formats.signed(formats.interval(lost.interval()))


SCALING_CSV = "scaling.csv"
SCALING_CSV_COLUMNS = (
    *("mode", "ranks", "distributed", "batch_size", "phase"),
    *("epoch_s", "lost_s", "lost_low_s", "lost_high_s"),
)


def scaling_csv(modes: Mapping[ScalingMode, Sequence[ScaledPoint]]) -> str:
    """One row per mode, number of ranks and phase: seconds per epoch, and those lost beyond the ideal."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(SCALING_CSV_COLUMNS)
    for mode, points in modes.items():
        for scaled in points:
            point = scaled.point
            place = [str(mode), point.ranks, int(point.is_distributed), point.batch_size]
            for phase in lost_phases([scaled]):
                part = point.epoch.phases.get(phase)
                writer.writerow(
                    [*place, str(phase), 0.0 if part is None else part.value, *_bounds(scaled.lost_by_phase[phase])]
                )
            writer.writerow([*place, "all", point.epoch.total.value, *_bounds(scaled.lost)])
    return out.getvalue()


def _bounds(lost: Estimate) -> list[float | str]:
    interval = lost.interval()
    return [interval.value, *("" if bound is None else bound for bound in (interval.low, interval.high))]

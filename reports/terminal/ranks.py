"""A distributed training, and how it scales, for the terminal."""

from collections.abc import Mapping, Sequence

from epoch_gap.profiler.distributed.scaling import ScaledPoint, ScalingMode
from epoch_gap.reports.ranks import RanksView, collective_rows, excess_rows, phase_rows, rank_rows
from epoch_gap.reports.scaling import loss_rows, scaling_rows
from epoch_gap.reports.terminal.tables import align


def ranks_tables(view: RanksView) -> str:
    """The tables, the conditions, and the verdict last."""
    tables = [rank_rows(view), phase_rows(view), collective_rows(view), excess_rows(view)]
    shown = [align(rows, left=1) for rows in tables if len(rows) > 1]
    return "\n".join(["\n\n".join(shown), "", *view.conditions, *view.ends, view.verdict])


def scaling_tables(modes: Mapping[ScalingMode, Sequence[ScaledPoint]]) -> str:
    """Per mode: speed-up and efficiency by number of ranks, and what the loss is made of."""
    parts = []
    for mode, points in modes.items():
        parts += [f"{mode} scaling", align(scaling_rows(points), left=1), "", align(loss_rows(points), left=1), ""]
    return "\n".join(parts[:-1])

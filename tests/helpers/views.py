"""The view of runs, as a report builds it."""

from collections.abc import Sequence

from epoch_gap.profiler.comparison.spread_history import KnownSpread
from epoch_gap.profiler.comparison.subject import group_runs
from epoch_gap.profiler.drilldown.matching import Drilldowns
from epoch_gap.profiler.experiments.assessment import Assessment
from epoch_gap.profiler.learning.assessment import CrossAssessment
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloors
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.view import View, view_subjects


def build_view(
    runs: Sequence[Run],
    floors: NoiseFloors | None = None,
    drilldowns: Drilldowns | None = None,
    assessments: Sequence[Assessment] = (),
    crosses: Sequence[CrossAssessment] = (),
) -> View:
    return view_subjects(group_runs(runs), drilldowns, KnownSpread(floors=floors or {}), assessments, crosses)

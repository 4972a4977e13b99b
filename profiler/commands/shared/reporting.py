"""Write a report to disk and print its verdict; shared by `report` and `profile`."""

from collections.abc import Sequence
from pathlib import Path

from epoch_gap.profiler.commands.shared.earlier_sessions import find_known_spread
from epoch_gap.profiler.commands.shared.output_folder import write_report
from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.commands.shared.run_selection import readable_noise_floors
from epoch_gap.profiler.drilldown.loading import load_drilldowns
from epoch_gap.profiler.experiments.assessment import load_assessments
from epoch_gap.profiler.learning.assessment import load_cross_assessments
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.report import render_report


def report_runs(runs: Sequence[Run], out: Path, runs_dir: Path, svg: bool = False) -> None:
    """Write the report of `runs` and print its verdict and path. Raises UserError before any file is written."""
    drilldowns = load_drilldowns(runs, runs_dir, warn)
    spread = find_known_spread(runs, runs_dir, readable_noise_floors(runs_dir))
    tests = load_assessments(runs_dir, warn), load_cross_assessments(runs_dir, warn)
    report = render_report(runs, drilldowns, svg, spread, *tests)
    page = write_report(report, out)
    print("\n".join([report.view.verdict, *report.view.further]))
    if report.view.why:
        print(report.view.why_heading)
        print("\n".join(f"  {line}" for line in report.view.why))
    for line in (*report.view.compilation, *report.view.operating_system):
        print(line)
    print(report.view.accuracy[0])
    print(report.view.floor)
    if report.view.prediction:
        print(report.view.prediction)
    for line in report.view.experiments.diagnosis:
        print(line)
    print(f"report: {page}")

"""Compare two sides of stored runs, time their parts if the gate fails, and print it all: `compare` and `gate`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from epoch_gap.profiler.commands.shared.earlier_sessions import find_known_spread
from epoch_gap.profiler.commands.shared.exit_status import GATE_FAILED
from epoch_gap.profiler.commands.shared.output_folder import write_report
from epoch_gap.profiler.commands.shared.printing import tolerate_closed_pipe, warn
from epoch_gap.profiler.commands.shared.run_selection import readable_noise_floors, readable_qualifications
from epoch_gap.profiler.comparison.gap import measure_gap
from epoch_gap.profiler.comparison.gate import GateDecision
from epoch_gap.profiler.comparison.identity import check_comparable, drilldown_key, subject_id
from epoch_gap.profiler.comparison.qualification import applicable_qualification
from epoch_gap.profiler.comparison.spread_history import KnownSpread
from epoch_gap.profiler.comparison.subject import Subject, shorten_titles
from epoch_gap.profiler.drilldown.loading import load_drilldowns
from epoch_gap.profiler.drilldown.matching import Drilldowns
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.comparison import Comparison, judge_gap
from epoch_gap.reports.export.comparison import comparison_json, comparison_markdown
from epoch_gap.reports.report import render_subjects
from epoch_gap.reports.sentences.gate import describe_decision, describe_qualification
from epoch_gap.reports.sentences.side_drilldowns import describe_sides
from epoch_gap.reports.terminal.comparison import comparison_table

TEXT, MARKDOWN, JSON = "text", "md", "json"


def add_output(parser: argparse.ArgumentParser) -> None:
    """`--format` and `--out`"""
    parser.add_argument(
        "--format",
        choices=(TEXT, MARKDOWN, JSON),
        default=TEXT,
        help="of what is printed: md for a pull request, json for programs (default: text)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write the comparison as a page")


def compare_sides(
    sides: Sequence[Sequence[Run]], runs_dir: Path, allowed: float | None, beside: Path | None = None
) -> tuple[Comparison, KnownSpread]:
    """B, the second side, compared with A, and the spread that was known before; `allowed` is the gate's share.

    Earlier sessions are looked for in `runs_dir`; the noise floor and the gate's rates `beside` it, by default there.
    Raises UserError if the sides cannot be compared, or the runs of one side are no repeats.
    """
    runs = [run for side in sides for run in side]
    if len({run.id for run in runs}) < len(runs):
        raise UserError("a run cannot be on both sides, or twice on one side")
    check_comparable(runs)
    a, b = (_subject(side, name) for side, name in zip(sides, "AB", strict=True))
    if a.id == b.id:
        a, b = (replace(s, id=f"{s.id} ({s.side})") for s in (a, b))
    a, b = shorten_titles([a, b])
    beside = beside or runs_dir
    spread = find_known_spread(runs, runs_dir, readable_noise_floors(beside))
    gap = measure_gap(b, a, spread=spread)
    qualification = None if allowed is None else applicable_qualification(readable_qualifications(beside), runs)
    return Comparison(a, b, gap, spread.floor_of(a, b), judge_gap(gap, allowed, qualification)), spread


def _subject(side: Sequence[Run], name: str) -> Subject:
    """Raises UserError unless all runs of a side repeat one configuration."""
    ids = {subject_id(run.manifest) for run in side}
    if len(ids) > 1:
        raise UserError(f"the runs of one side have different configurations: {', '.join(sorted(ids))}")
    by_age = sorted(side, key=lambda run: run.id)  # the order of the pairs
    return Subject.from_runs(by_age, side=name)


def write_page(comparison: Comparison, spread: KnownSpread, out: Path, runs_dir: Path) -> Path:
    """Write the page and return its path.

    Two subjects of one framework and device are shown without stored drill-downs, as the newest belongs to only one
    of them; those that were timed for this comparison belong to each.
    """
    subjects = [comparison.a, comparison.b]
    runs = [run for subject in subjects for run in subject.runs]
    keys = {drilldown_key(subject.manifest) for subject in subjects}
    stored = load_drilldowns(runs, runs_dir, warn) if len(keys) > 1 else Drilldowns()
    ids = [subject.id for subject in subjects]
    timed = comparison.drilldowns
    drilldowns = replace(
        stored,
        layers_of=dict(zip(ids, timed.layers, strict=True)) if timed.layers else {},
        operators_of=dict(zip(ids, timed.operators, strict=True)) if timed.operators else {},
    )
    return write_report(render_subjects(subjects, drilldowns, spread=spread), out)


def print_comparison(comparison: Comparison, form: str, page: Path | None) -> int:
    """Print the comparison in one of the formats. Returns the exit status, which holds even if nobody reads it."""
    with tolerate_closed_pipe():
        print({TEXT: _as_text, MARKDOWN: comparison_markdown, JSON: comparison_json}[form](comparison))
        if page is not None:
            print(f"report: {page}", file=sys.stdout if form == TEXT else sys.stderr)
    gate = comparison.gate
    if gate is not None and gate.decision is GateDecision.UNKNOWN:
        text = describe_decision(gate.decision, comparison.gap, gate.allowed)
        print(f"WARNING: gate: {text}", file=sys.stderr)
    return GATE_FAILED if comparison.has_failed else 0


def _as_text(comparison: Comparison) -> str:
    gap, gate = comparison.gap, comparison.gate
    lines = [comparison_table(comparison.a, comparison.b, gap, comparison.floor)]
    for heading, parts in describe_sides(comparison.drilldowns).items():
        lines += [f"{heading}:", *(f"  {part}" for part in parts)]
    if gate is not None and gate.decision is not GateDecision.UNKNOWN:
        lines.append(f"gate: {describe_decision(gate.decision, gap, gate.allowed)}")
    if gate is not None and comparison.can_be_qualified:
        lines.append(describe_qualification(gate.qualification, gate.allowed, gap.floor))
    return "\n".join(lines)

"""Sample the stacks of a framework's training with py-spy, in a separate run that is never a timed one."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.commands.shared.options import (
    add_framework,
    add_switches,
    add_workload,
    parse_positive,
    workload_arguments,
)
from epoch_gap.profiler.comparison.identity import drilldown_key, subject_id, why_incomparable
from epoch_gap.profiler.drilldown import stacks
from epoch_gap.profiler.drilldown.conditions import DrilldownConditions
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.artifacts import DRILLDOWNS, store_artifacts
from epoch_gap.profiler.storage.reader import find_runs, read_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.profiler.storage.schema import DATABASE
from epoch_gap.reports import formats
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts import flame as flame_graph
from epoch_gap.reports.export.json_text import strict_json
from epoch_gap.reports.export.speedscope import stacks_to_speedscope
from epoch_gap.reports.terminal.drilldowns import phase_shares
from epoch_gap.workloads import registry
from epoch_gap.workloads.loop_lines import phase_of

RATE = 50
"""default samples per second"""
SECONDS = 90
"""default training time"""
TEST_IMAGES = 128
"""default number of test images; few, because evaluation is not shown"""
HOTTEST = 20
RUNS = "sampled"
"""folder of the sampled runs below the drill-downs, where reports do not look for runs"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_framework(parser)
    parser.add_argument(
        "--rate", type=parse_positive, default=RATE, metavar="HZ", help="samples per second (default: 50)"
    )
    parser.add_argument("--native", action="store_true", help="include C and C++ frames; pauses the process")
    add_workload(parser)
    add_switches(parser)
    parser.set_defaults(preset="epoch")


def execute(args: argparse.Namespace) -> int:
    """Sample a run, store its stacks, and print the shares of the phases beside those of the marks."""
    spy = Path(sys.executable).parent / "py-spy"
    if not spy.is_file():
        raise UserError("py-spy is not installed beside this Python; `make setup` installs it")
    run, sampled = _sampled_run(spy, args)
    parsed = stacks.parse_raw(sampled, phase_of, args.rate, len(run.train))
    if not parsed.samples:
        raise UserError("py-spy took no sample of the training loop; increase --seconds")
    sampled_stacks = replace(parsed, conditions=DrilldownConditions.from_manifest(run.manifest))
    name = f"{run.framework.title} {run.framework.version} ({run.id})"
    files = _files(sampled_stacks, run.config.framework, name)
    folder = store_artifacts(args.runs_dir, f"flame-{drilldown_key(run.manifest)}", files)
    print(phase_shares(run, sampled_stacks))
    print(_slowdown(run, args.runs_dir))
    print(folder)
    return 0


def _files(sampled: stacks.Stacks, framework: str, name: str) -> dict[str, str]:
    """The stored files by name."""
    hottest = stacks.hottest_functions(sampled, registry.source_folders(framework), HOTTEST)
    return {
        stacks.TEXT: stacks.stacks_to_text(sampled),
        stacks.COUNTS: strict_json(stacks.counts_to_json(sampled)),
        stacks.SPEEDSCOPE: strict_json(stacks_to_speedscope(sampled, name)),
        stacks.SVG: canvas.svg(flame_graph.static(flame_graph.stacks_flame(sampled, name))),
        stacks.HOT: "\n".join(f"{file}:{function}:{count}" for file, function, count in hottest),
    }


def _slowdown(run: Run, runs_dir: Path) -> str:
    """The cost of sampling in words, relative to a steady step of the newest comparable run without sampling."""
    unknown = "cost of sampling unknown: no comparable run without sampling"
    try:
        sampled = _steady_step_ns(run)
    except UserError:
        return unknown
    for path in reversed(find_runs(runs_dir)):
        with suppress(UserError):
            other = read_run(path)
            if subject_id(other.manifest) == subject_id(run.manifest) and why_incomparable(other, run) is None:
                times = formats.times(sampled / _steady_step_ns(other))
                return f"a sampled step took {times} times as long as a step of run {other.short_id}"
    return unknown


def _steady_step_ns(run: Run) -> float:
    """The mean steady as-run step, ns. Raises UserError if the run has none."""
    return float(analyse_run(run).asrun.steady.wall_ns.mean())


def _sampled_run(spy: Path, args: argparse.Namespace) -> tuple[Run, str]:
    """The stored run and its stacks in py-spy's raw format. Raises UserError."""
    seconds = SECONDS if args.seconds is None and args.steps is None else args.seconds
    words = workload_arguments(
        args,
        seconds=seconds,
        test_limit=args.test_limit or TEST_IMAGES,
        runs_dir=args.runs_dir / DRILLDOWNS / RUNS,
    )
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.txt"
        result = _record(spy, raw, args.rate, args.native, ["run", "--framework", args.framework, *words])
        paths = [Path(line) for line in result.stdout.splitlines()]
        path = next((path for path in reversed(paths) if (path / DATABASE).is_file()), None)
        if path is None or not raw.is_file():
            raise UserError(reason_of_failure(result.stderr))
        return read_run(path), raw.read_text(encoding="utf-8", errors="replace")


def _record(spy: Path, raw: Path, rate: int, native: bool, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a verb under py-spy. No special rights are needed, because py-spy starts the process itself."""
    how = "--native" if native else "--nonblocking"
    record: list[str | Path] = [spy, "record", "--format", "raw", "--rate", str(rate), how, "--output", raw, "--"]
    return subprocess.run(
        [*record, sys.executable, "-m", "epoch_gap.profiler", *words], capture_output=True, text=True
    )


def reason_of_failure(stderr: str) -> str:
    """The reason why nothing was sampled: the error line of the run, or else py-spy's last error or last line."""
    said = [line for line in stderr.splitlines() if line.strip()] or ["py-spy gave no reason"]
    errors = [line for line in said if "rror" in line] or said
    of_run = next((line.removeprefix("error: ") for line in errors if line.startswith("error: ")), None)
    return of_run or f"nothing was sampled: {errors[-1].strip()}; if ptrace is forbidden, allow it"

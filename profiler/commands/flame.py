"""Sample the stacks of a framework's training by py-spy: a run of its own, never a timed one."""

import argparse
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from epoch_gap.profiler.analysis.epoch import steady_steps
from epoch_gap.profiler.commands.options import add_workload, positive, workload_arguments
from epoch_gap.profiler.comparison.subject import incomparable, subject_id
from epoch_gap.profiler.drilldown import stacks
from epoch_gap.profiler.drilldown.matching import conditions
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage import store
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports import theme
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts import flame as flame_graph
from epoch_gap.reports.sentences.verdict import short_id
from epoch_gap.reports.terminal import tables as text
from epoch_gap.workloads import registry
from epoch_gap.workloads.loop_lines import phase_of

RATE = 50
"""samples per second"""
SECONDS = 90
"""of training, where nothing else is asked for"""
HOTTEST = 20
RUNS = "sampled"
"""below the drill-downs: the sampled runs, which are no contenders of a report"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--framework", choices=registry.FRAMEWORKS, required=True)
    parser.add_argument("--rate", type=positive, default=RATE, metavar="HZ", help="samples per second (default: 50)")
    parser.add_argument("--native", action="store_true", help="frames of C and C++ too; pauses the process")
    add_workload(parser)
    parser.set_defaults(preset="epoch")


def execute(args: argparse.Namespace) -> int:
    """Run, sample, store the stacks as speedscope JSON and SVG, and print the phases' shares beside the marks'."""
    spy = Path(sys.executable).parent / "py-spy"
    if not spy.is_file():
        raise UserError("py-spy is not beside this Python; `make setup` installs it")
    if args.seconds is None and args.steps is None:
        args.seconds = SECONDS
    args.test_limit = args.test_limit or 128
    runs_dir: Path = args.runs_dir
    args.runs_dir = runs_dir / store.DRILLDOWNS / RUNS
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.txt"
        run = _sampled_run(spy, raw, args)
        sampled = raw.read_text()
    found = replace(stacks.parse(sampled, phase_of, args.rate, len(run.train)), conditions=conditions(run))
    if not found.samples:
        raise UserError("py-spy saw no stack of the training loop; take more --seconds")
    name = f"{run.manifest['framework']['title']} {run.manifest['framework']['version']} ({run.id})"
    files = {
        stacks.TEXT: stacks.to_text(found),
        stacks.COUNTS: text.as_json(stacks.counts(found)),
        stacks.SPEEDSCOPE: text.as_json(stacks.speedscope(found, name)),
        stacks.SVG: canvas.svg(flame_graph.static(flame_graph.of_one(found, name))),
        stacks.HOT: "\n".join(f"{file}:{function}:{count}" for file, function, count in _hot(run, found)),
    }
    folder_kept = store.keep_files(runs_dir, f"flame-{run.framework}-{run.manifest['framework']['device']}", files)
    print(text.phase_shares(run, found))
    print(_slowdown(run, runs_dir))
    print(folder_kept)
    return 0


def _slowdown(run: Run, runs_dir: Path) -> str:
    """What sampling cost: a steady step beside that of the newest comparable run that was not sampled."""
    for path in reversed(store.find(runs_dir)):
        with suppress(UserError):
            other = store.read(path)
            if subject_id(other) == subject_id(run) and incomparable(other, run) is None:
                sampled, plain = (float(steady_steps(r).wall_ns.mean()) for r in (run, other))
                times = theme.times(sampled / plain)
                return f"a sampled step took {times} times as long as one of run {short_id(other)}"
    return "what sampling cost is not known: no comparable run that was not sampled"


def _hot(run: Run, found: stacks.Stacks) -> list[tuple[str, str, int]]:
    """The framework's own functions in which most samples were."""
    return stacks.hottest(found, f"{run.framework}/", HOTTEST)


def _sampled_run(spy: Path, raw: Path, args: argparse.Namespace) -> Run:
    """The stored run. py-spy starts the process itself and so needs no rights. Raises UserError."""
    how = ["--native"] if args.native else ["--nonblocking"]
    record: list[str | Path] = [spy, "record", "--format", "raw", "--rate", str(args.rate), *how]
    record += ["--output", raw, "--"]
    command = [sys.executable, "-m", "profiler", "run", "--framework", args.framework, *workload_arguments(args)]
    result = subprocess.run([*record, *command], capture_output=True, text=True)
    printed = [Path(line) for line in result.stdout.splitlines()]
    path = next((line for line in reversed(printed) if (line / store.DATABASE).is_file()), None)
    if path is None or not raw.is_file():
        said = [line for line in result.stderr.splitlines() if "rror" in line] or ["py-spy gave no reason"]
        own = next((line.removeprefix("error: ") for line in said if line.startswith("error: ")), None)
        raise UserError(own or f"nothing was sampled: {said[-1].strip()}; where ptrace is forbidden, allow it")
    return store.read(path)

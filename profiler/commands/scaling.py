"""Measure how a training scales: alone, and on more and more ranks with equally many threads each."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from epoch_gap.profiler.analysis.epoch import EpochEstimate
from epoch_gap.profiler.analysis.run_analysis import analyse_run
from epoch_gap.profiler.commands.shared.options import add_workload, parse_positive, workload_arguments
from epoch_gap.profiler.commands.shared.output_folder import SCALING, prepare_folder, write_files
from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.commands.shared.rank_runs import environment_of_ranks, run_ranks, threads_per_rank
from epoch_gap.profiler.commands.shared.sessions import run_process
from epoch_gap.profiler.distributed.analysis import analyse_ranks
from epoch_gap.profiler.distributed.scaling import (
    ScaledPoint,
    ScalingMode,
    ScalingPoint,
    mean_epoch_of_ranks,
    mean_of_repeats,
    measure_scaling,
)
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.storage.reader import read_run
from epoch_gap.profiler.storage.run import Run
from epoch_gap.reports.charts import canvas
from epoch_gap.reports.charts.scaling import headline, scaling_figure
from epoch_gap.reports.scaling import SCALING_CSV, scaling_csv
from epoch_gap.reports.terminal.ranks import scaling_tables
from epoch_gap.workloads import registry
from epoch_gap.workloads.cifar10.load import resolve_source
from epoch_gap.workloads.presets import PRESETS

PICTURE = "scaling.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    able = [name for name, entry in registry.FRAMEWORKS.items() if entry.build_rank]
    parser.add_argument("--framework", choices=able, default=able[0], help=f"default: {able[0]}")
    parser.add_argument(
        "--ranks", type=_numbers, default=[1, 2], metavar="N,...", help="numbers of ranks, from 1 (default: 1,2)"
    )
    parser.add_argument(
        "--keep",
        type=ScalingMode,
        choices=tuple(ScalingMode),
        help="strong: images per step of all ranks; weak: of each rank (default: both)",
    )
    parser.add_argument("--repeats", type=parse_positive, default=1, metavar="N", help="trainings each (default: 1)")
    parser.add_argument("--out", type=Path, default=SCALING, metavar="DIR", help=f"default: {SCALING}")
    add_workload(parser)


def _numbers(text: str) -> list[int]:
    """Increasing numbers of ranks that begin with 1, for argparse."""
    numbers = [parse_positive(number) for number in text.split(",")]
    if numbers[0] != 1 or sorted(set(numbers)) != numbers:
        raise argparse.ArgumentTypeError(f"{text} are not increasing numbers from 1")
    return numbers


_numbers.__name__ = "numbers of ranks"


def execute(args: argparse.Namespace) -> int:
    """Train every configuration, then print the tables and write the picture and the table of all values.

    Raises UserError before any training if a batch cannot be split, and if a training did not complete.
    """
    prepare_folder(args.out, (PICTURE, SCALING_CSV))
    batch = args.batch_size or PRESETS[args.preset].batch_size
    wanted = {mode: _configurations(mode, args.ranks, batch) for mode in ([args.keep] if args.keep else ScalingMode)}
    args.data, warning = resolve_source(args.data)
    if warning:
        warn(warning)
    threads = threads_per_rank(args.ranks[-1])
    first, run = _train_alone(args, batch, threads)
    trained: dict[tuple[int, int], ScalingPoint] = {}
    for ranks, size in sorted({pair for pairs in wanted.values() for pair in pairs}):
        trained[ranks, size] = _train_ranks(args, ranks, size, threads)
    modes = {mode: measure_scaling([first, *(trained[pair] for pair in pairs)]) for mode, pairs in wanted.items()}
    _report(args, modes, run)
    return 0


def _configurations(mode: ScalingMode, numbers: Sequence[int], batch: int) -> list[tuple[int, int]]:
    """Ranks, and images per step of each."""
    if mode is ScalingMode.WEAK:
        return [(ranks, batch) for ranks in numbers]
    for ranks in numbers:
        if batch % ranks:
            raise UserError(
                f"a batch of {batch} images cannot be split over {ranks} ranks; choose another --batch-size"
            )
    return [(ranks, batch // ranks) for ranks in numbers]


def _train_alone(args: argparse.Namespace, batch: int, threads: int) -> tuple[ScalingPoint, Run]:
    epochs, run = [], None
    for _ in range(args.repeats):
        words = ["--framework", args.framework, *workload_arguments(args, batch_size=batch)]
        status, path = run_process(words, environment_of_ranks(threads))
        if status or path is None:
            raise UserError(f"{args.framework} alone ended with status {status}; there is nothing to compare with")
        run = read_run(path)
        epochs.append(analyse_run(run).asrun.own_epoch)
    assert run is not None
    return _point(run, 1, False, epochs), run


def _train_ranks(args: argparse.Namespace, ranks: int, batch: int, threads: int) -> ScalingPoint:
    epochs, run = [], None
    for _ in range(args.repeats):
        words = workload_arguments(args, batch_size=batch)
        training = run_ranks(args.framework, ranks, words, args.runs_dir, threads, args.allow_busy)
        if not training.is_complete:
            raise UserError(f"the training of {ranks} ranks did not complete; `ranks` shows which one ended")
        run = training.runs[0]
        epochs.append(mean_epoch_of_ranks(analyse_ranks(training).epochs))
    assert run is not None
    return _point(run, ranks, True, epochs)


def _point(run: Run, ranks: int, is_distributed: bool, epochs: Sequence[EpochEstimate]) -> ScalingPoint:
    threads = str(run.framework.conditions.get("threads", "n/a"))
    return ScalingPoint(ranks, is_distributed, threads, run.batch_size, mean_of_repeats(epochs))


def _report(args: argparse.Namespace, modes: dict[ScalingMode, list[ScaledPoint]], alone: Run) -> None:
    machine, day = alone.manifest.environment.machine.description, alone.manifest.created[:10]
    trainings = f"{args.repeats} training{'s' if args.repeats > 1 else ''} each"
    source = f"{args.framework}, {alone.manifest.data.title}, preset {args.preset}, {trainings} | {machine} | {day}"
    figure = scaling_figure(modes, source)
    write_files(args.out, {PICTURE: canvas.png(figure), SCALING_CSV: scaling_csv(modes)})
    print(scaling_tables(modes))
    print(headline(modes))
    print(f"picture: {args.out / PICTURE}")

"""The runs of distributed trainings: start one with the framework's launcher, and find the runs of its ranks."""

import os
import secrets
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from epoch_gap.profiler.commands.shared.output_folder import prepare_folder, write_files
from epoch_gap.profiler.commands.shared.run_selection import if_readable
from epoch_gap.profiler.distributed.analysis import DistributedAnalysis, analyse_ranks
from epoch_gap.profiler.distributed.training import DistributedTraining, group_ranks, rank_of
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.storage.reader import RunHeader, find_runs, locate_run, read_header, read_run
from epoch_gap.reports.page.ranks_page import FILES, PAGE, render_ranks
from epoch_gap.reports.ranks import RanksView
from epoch_gap.reports.sentences.ranks import describe_ends
from epoch_gap.reports.terminal.ranks import ranks_tables
from epoch_gap.workloads import registry

THREADS = "OMP_NUM_THREADS"


def threads_per_rank(ranks: int) -> int:
    """Equal shares of this machine's usable cores, at least one thread each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // ranks)


def run_ranks(
    framework: str, ranks: int, words: Sequence[str], runs_dir: Path, threads: int, allow_busy: bool
) -> DistributedTraining:
    """Execute the verb `run` on every rank, and read the runs, however each of them ended.

    The launcher ends all ranks once one has ended. `OMP_NUM_THREADS` is `threads` unless it is set. Raises UserError
    for a framework that cannot train ranks, if another timed run is in progress, and if no rank stored a run.
    """
    launcher = registry.launch_command(framework, ranks)
    session = secrets.token_hex(4)
    command = [*launcher, "run", "--framework", framework, *words, "--session", session]
    environment = environment_of_ranks(threads)
    with (
        hold_run_lock(session, allow_others=allow_busy),
        # Its input never ends: MLX's launcher spins on a closed standard input.
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as launched,
    ):
        _wait_for(launched)
    headers = {path: header for path, header in _rank_headers(runs_dir).items() if header.manifest.session == session}
    if not headers:
        raise UserError(f"no rank of {framework} stored a run; the messages above say why")
    return group_ranks([read_run(path) for path in headers])


def environment_of_ranks(threads: int) -> dict[str, str]:
    """This process's environment, with the number of threads unless that is set: torchrun would set 1."""
    return {THREADS: str(threads), **os.environ}


def _wait_for(process: "subprocess.Popen[bytes]") -> None:
    """Wait until the launcher has ended. SIGTERM is passed on; Ctrl-C reaches the whole process group by itself."""
    before = signal.signal(signal.SIGTERM, lambda signum, frame: process.terminate())
    try:
        process.wait()
    except KeyboardInterrupt:
        process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def select_training(names: Sequence[str], runs_dir: Path) -> DistributedTraining:
    """The training of the named runs: all ranks of the session of a single one; without names, the newest training.

    Raises UserError for a run that is no rank, for runs of different trainings, and if there is none.
    """
    if len(names) > 1:
        return group_ranks([read_run(locate_run(name, runs_dir)) for name in names])
    if names:
        path = locate_run(names[0], runs_dir)
        chosen, folder = read_header(path), path.parent
        if chosen.manifest.rank is None:
            raise UserError(f"{chosen.id} is no rank of a distributed training")
    else:
        headers = [*_rank_headers(runs_dir).values()]
        if not headers:
            raise UserError(f"no run of a distributed training in {runs_dir}; run `make profile-torch NPROC=2`")
        chosen, folder = headers[-1], runs_dir
    key = _training_key(chosen)
    paths = [path for path, header in _rank_headers(folder).items() if _training_key(header) == key]
    return group_ranks([read_run(path) for path in paths])


def _rank_headers(runs_dir: Path) -> dict[Path, RunHeader]:
    """The readable runs of ranks, oldest first."""
    headers = {path: if_readable(read_header, path) for path in find_runs(runs_dir)}
    return {path: header for path, header in headers.items() if header is not None and header.manifest.rank}


def _training_key(header: RunHeader) -> tuple[str, int]:
    return header.manifest.session, rank_of(header.manifest).world_size


def report_ranks(training: DistributedTraining, out: Path) -> DistributedAnalysis:
    """Write the page, the pictures and the trace of a training, and print its tables; the page's path comes last.

    Raises UserError before any file is written, also for a training without a step.
    """
    prepare_folder(out, FILES)
    if not any(len(run.train) for run in training.runs):
        raise UserError(f"no rank stored a training step: {'; '.join(describe_ends(training))}")
    view = RanksView(analyse_ranks(training))
    write_files(out, render_ranks(view))
    print(ranks_tables(view))
    print(f"page: {out / PAGE}")
    return view.analysis

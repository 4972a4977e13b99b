"""Run all versions of a matrix in environments of their own, and show what changed from version to version."""

import argparse
import secrets
import sys
from pathlib import Path

from epoch_gap.profiler.commands.shared import matrix_workflow
from epoch_gap.profiler.commands.shared.exit_status import CELLS_FAILED, INTERRUPTED, TERMINATED
from epoch_gap.profiler.commands.shared.matrix_checks import check_matrix
from epoch_gap.profiler.commands.shared.matrix_job import link_code
from epoch_gap.profiler.commands.shared.matrix_plan import (
    Common,
    Plan,
    failure_of,
    failure_of_cell,
    layers_id,
    make_plan,
    store_plan,
)
from epoch_gap.profiler.commands.shared.options import add_runs_dir, parse_positive
from epoch_gap.profiler.commands.shared.output_folder import MATRICES, prepare_folder, write_files
from epoch_gap.profiler.commands.shared.printing import warn
from epoch_gap.profiler.commands.shared.run_selection import readable_noise_floors
from epoch_gap.profiler.drilldown.layers import Drilldown
from epoch_gap.profiler.drilldown.loading import load_drilldowns
from epoch_gap.profiler.drilldown.matching import explains
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.run_lock import hold_run_lock
from epoch_gap.profiler.matrix.cell_state import CellState, CellStatus, find_states
from epoch_gap.profiler.matrix.matrix import Configuration, Matrix, read_matrix
from epoch_gap.profiler.matrix.result import MatrixResult
from epoch_gap.profiler.matrix.version_series import build_series
from epoch_gap.profiler.storage.noise_floor_store import NoiseFloors
from epoch_gap.profiler.storage.reader import read_header, read_run
from epoch_gap.reports.page.matrix_page import FILES, PAGE, render_matrix
from epoch_gap.reports.terminal.matrix import matrix_tables
from epoch_gap.workloads.cifar10.load import resolve_source

FOLDER = "matrix"
"""folder inside the runs' directory, so that reports do not select these runs"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the matrix, in TOML")
    parser.add_argument("--show", action="store_true", help="run nothing: show the runs so far")
    parser.add_argument("--profile", metavar="DIR", help="Snakemake's profile of a cluster (default: this machine)")
    parser.add_argument(
        "--at-once", type=parse_positive, default=1, metavar="N", help="cells that run at the same time (default: 1)"
    )
    parser.add_argument("--allow-busy", action="store_true", help="run even if another timed run is in progress")
    parser.add_argument("--out", type=Path, default=MATRICES, metavar="DIR", help="default: %(default)s")
    add_runs_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Run the cells that are not complete, then show all that are.

    A cell that fails is shown as failed, and the others run. Raises UserError before anything runs.
    """
    matrix = read_matrix(args.file)
    check_matrix(matrix, args.file)
    if args.at_once > 1 and args.profile is None:
        raise UserError("--at-once: cells on one machine would slow each other down; name a cluster with --profile")
    prepare_folder(args.out, FILES)
    store = args.runs_dir / FOLDER / matrix.name
    status = 0 if args.show else _run_missing(matrix, store, args)
    floors = readable_noise_floors(args.runs_dir)
    result = _collect(matrix, store, floors)
    print(matrix_tables(result))
    if result.series:
        write_files(args.out, render_matrix(result, floors))
        print(f"\npage: {args.out / PAGE}")
    if args.show or status in (INTERRUPTED, TERMINATED):
        return status
    is_whole = result.count(CellStatus.COMPLETE) == len(result.states) and not result.layer_failures
    return 0 if is_whole else CELLS_FAILED


def _run_missing(matrix: Matrix, store: Path, args: argparse.Namespace) -> int:
    """Run what is not complete. Returns the scheduler's status."""
    with matrix_workflow.hold_store(store):
        plan = _plan(matrix, store, args.allow_busy)
        if not plan.jobs:
            print("every cell is complete", file=sys.stderr)
            return 0
        matrix_workflow.check_tools(bool(plan.environments))
        if args.profile is None:  # each cell holds the lock; this only refuses a busy machine before the work
            with hold_run_lock(secrets.token_hex(4), allow_others=args.allow_busy):
                pass
        link_code(store)
        return matrix_workflow.schedule(store_plan(plan), args.profile, args.at_once)


def _plan(matrix: Matrix, store: Path, allow_busy: bool) -> Plan:
    data, warning = resolve_source(str(matrix.workload.get("data", "auto")))
    if warning:
        warn(warning)
    states = _find_states(matrix, store)
    common = Common(store=store, data=data, data_warning=warning or "", allow_busy=allow_busy)
    return make_plan(matrix, states, _without_layers(matrix, states, store), common)


def _find_states(matrix: Matrix, store: Path) -> list[CellState]:
    skipped: dict[str, str] = {}
    states = find_states(matrix.cells, store, failure_of_cell(store), skipped)
    for name, reason in skipped.items():
        warn(f"skipped: {name}: {reason}")
    return states


def _without_layers(matrix: Matrix, states: list[CellState], store: Path) -> list[Configuration]:
    """The configurations whose layers are asked for and not there."""
    if not matrix.layers:
        return []
    layers = _load_layers(store)
    timed = {state.cell.configuration for state in states if state.run is not None and _are_timed(state.run, layers)}
    return [configuration for configuration in matrix.configurations if configuration not in timed]


def _are_timed(run: Path, layers: list[Drilldown]) -> bool:
    """Whether the layers of a complete run's configuration are among `layers`."""
    manifest = read_header(run).manifest
    return any(explains(drilldown.conditions, manifest) for drilldown in layers)


def _load_layers(store: Path) -> list[Drilldown]:
    return list(load_drilldowns([], store, warn).layers)


def _collect(matrix: Matrix, store: Path, floors: NoiseFloors) -> MatrixResult:
    states = _find_states(matrix, store)
    found = {(state.cell.configuration, state.cell.repeat): state.run for state in states if state.run is not None}
    places = [(c, repeat) for c in matrix.configurations for repeat in range(1, matrix.repeats + 1)]
    runs = [read_run(found[place]) for place in places if place in found]
    skipped: dict[str, str] = {}
    series = build_series(runs, _load_layers(store) if matrix.layers else [], floors, skipped)
    for name, reason in skipped.items():
        warn(f"skipped: {name}: {reason}")
    failures = {
        configuration.title: reason
        for configuration in _without_layers(matrix, states, store)
        if (reason := failure_of(store, layers_id(matrix, configuration), configuration))
    }
    return MatrixResult(matrix, tuple(states), tuple(runs), tuple(series), failures)

"""Check a matrix against what this program knows: frameworks, options and switches."""

import argparse
from pathlib import Path
from typing import NoReturn

from epoch_gap.profiler.commands.shared.matrix_environment import environment_of
from epoch_gap.profiler.commands.shared.matrix_plan import workload_words
from epoch_gap.profiler.commands.shared.options import add_workload
from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.matrix.matrix import FrameworkVersions, Matrix
from epoch_gap.workloads.experiments import environment_of_switches
from epoch_gap.workloads.registry import FRAMEWORKS

WORKLOAD = (
    *("preset", "data", "steps", "seconds", "epochs", "train_limit", "test_limit", "fence", "data_order", "seed"),
    *("checkpoint", "mmap", "compile", "allocator", "model", "image_size"),
)
"""the options of `run` that a matrix may set for all of its cells"""


class _Options(argparse.ArgumentParser):
    """Reports a wrong option as a UserError."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"workload: {message}")


def check_matrix(matrix: Matrix, file: Path) -> None:
    """Raise UserError, one line with the file, for a matrix that cannot run."""
    try:
        for one in matrix.framework:
            _check_framework(one)
        _check_workload(matrix)
        for configuration in matrix.configurations:
            environment_of(configuration)
            environment_of_switches(configuration.switches)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def _check_framework(one: FrameworkVersions) -> None:
    if one.name not in FRAMEWORKS:
        raise UserError(f"no framework {one.name!r}; choose from {', '.join(FRAMEWORKS)}")
    if one.costs and not FRAMEWORKS[one.name].is_scripted:
        raise UserError(f"{one.name} has no scripted costs")


def _check_workload(matrix: Matrix) -> None:
    if unknown := [name for name in matrix.workload if name not in WORKLOAD]:
        raise UserError(f"unknown key {unknown[0]!r} in workload; the keys are {', '.join(WORKLOAD)}")
    parser = _Options(prog="workload", add_help=False, allow_abbrev=False)
    add_workload(parser)
    parser.parse_args(workload_words(matrix.workload))

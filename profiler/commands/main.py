"""The command line: select the verb and execute it."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from epoch_gap.profiler.command_name import command_name
from epoch_gap.profiler.commands.shared.exit_status import USAGE_ERROR, exit_status_of
from epoch_gap.profiler.machine.allocator import Allocator, environment_of


class Verb(Protocol):
    """The interface of each verb's module."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def execute(self, args: argparse.Namespace) -> int:
        """Execute the verb and return the exit status."""


VERBS = {
    "run": "train one framework in this process and store every step",
    "profile": "run each framework in fresh processes, then report; the main job",
    "report": "write the report of stored runs",
    "experiment": "test explanations: predict from stored runs, change one thing, measure, and score the prediction",
    "curve": "train both sides for 20 epochs, and test what makes their accuracies differ",
    "ranks": "show a distributed training: who waits for whom, and what communication costs",
    "scaling": "measure how an epoch scales with more ranks, and what the lost efficiency is made of",
    "matrix": "run every version of a matrix in an environment of its own, and show what changed between them",
    "compare": "compare two stored runs, or fail if the second is too slow",
    "baseline": "name the runs that later ones are compared with",
    "gate": "run two versions in turns, compare them, and fail if the second is too slow; for CI",
    "qualify": "measure how often the gate is right on this machine",
    "noise": "compare a framework with itself: the smallest difference that can be claimed on this machine",
    "check": "check the contract of an adapter, one line a rule",
    "parity": "compare what two frameworks compute, layer by layer, from the same weights on the same batches",
    "layers": "time forward and backward layer by layer, in a separate run",
    "operators": "time forward and backward by operator category, in a separate run",
    "flame": "sample the stacks of a framework's training, by phase",
    "lines": "time the lines of a framework's hot functions",
    "export": "write a stored run's steps, epochs and phases as CSV, Parquet or JSON",
    "history": "list the epoch times of all stored runs, oldest first",
    "trace": "write a stored run as a trace for Perfetto",
    "list": "list the stored runs",
    "recover": "save the intact part of a damaged run into a new run",
    "show": "show one stored run",
}
"""Help by verb. A verb's module is imported on demand, so that a timed process loads no charts."""


class _Parser(argparse.ArgumentParser):
    """Reports bad usage in one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"error: {message}; see {self.prog} --help\n")


def _load(name: str) -> Verb:
    return cast(Verb, import_module(f"epoch_gap.profiler.commands.{name}"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the character shows "?"
    parser = _Parser(
        prog=command_name(), description="Explain why an epoch takes longer in one framework than in another."
    )
    parsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, summary in VERBS.items():
        parsers.add_parser(name, help=summary, description=f"{summary.capitalize()}.", allow_abbrev=False)
    verb = _load(words[0]) if words and words[0] in VERBS else None
    if verb is not None:
        verb.add_arguments(parsers.choices[words[0]])
    args = parser.parse_args(words)
    assert verb is not None, "argparse refuses any other first word"
    chosen = verb
    if argv is None:
        return exit_status_of(lambda: _execute_in_its_environment(words, args, chosen.execute))
    return exit_status_of(lambda: chosen.execute(args))


def _execute_in_its_environment(
    words: Sequence[str], args: argparse.Namespace, execute: Callable[[argparse.Namespace], int]
) -> int:
    """Execute the verb, after this process has restarted in the environment that its options need, if it must.

    The allocator, OpenMP and BLAS read the environment only when a process starts; processes that the verb starts
    inherit it.
    """
    allocator = getattr(args, "allocator", Allocator.DEFAULT)
    environment = environment_of(allocator)
    if switches := getattr(args, "switch", ()):
        from epoch_gap.workloads.experiments import environment_of_switches

        environment |= environment_of_switches(switches)
    changed = [f"{name}={value}" for name, value in environment.items() if os.environ.get(name) != value]
    if changed:
        if not args.quiet:
            reason = "allocator: freed memory is kept" if allocator is Allocator.KEEP else "switches"
            print(f"{reason} ({' '.join(changed)})", file=sys.stderr)
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, "-m", "epoch_gap.profiler", *words], environment)
    return execute(args)

"""The command line: finds the verb, and maps what goes wrong to exit statuses."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from epoch_gap.profiler.commands.exit_status import INTERRUPTED, USAGE_ERROR, drop_output
from epoch_gap.profiler.errors import UserError


class Verb(Protocol):
    """What each module of this package offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def execute(self, args: argparse.Namespace) -> int:
        """Do it; the exit status."""


VERBS = {
    "run": "train one framework in this process and store every step",
    "profile": "run each framework in fresh processes, then report; the main job",
    "report": "write the report of stored runs",
    "compare": "compare two stored runs, or fail where the second is too slow",
    "noise": "compare a framework with itself: the smallest effect that this machine lets one claim",
    "layers": "where forward and backward go, layer by layer: a run of its own",
    "operators": "where forward and backward go, by kind of operator: a run of its own",
    "flame": "sample the stacks of a framework's training, by phase",
    "lines": "time the lines of a framework's hot functions",
    "export": "write a stored run's steps, epochs and phases as CSV, Parquet or JSON",
    "history": "how long the epochs of all stored runs took, the oldest first",
    "trace": "write a stored run as a trace for Perfetto",
    "list": "list the stored runs",
    "show": "show one stored run",
}
"""Name and help. A verb's module is imported when it is asked for: a timed process loads no charts."""


class _Parser(argparse.ArgumentParser):
    """One line for bad usage, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_ERROR, f"error: {message}; see {self.prog} --help\n")


def _load(name: str) -> Verb:
    return cast(Verb, import_module(f"epoch_gap.profiler.commands.{name}"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    parser = _Parser(
        prog="python -m profiler", description="Explain why one framework's epoch takes longer than another's."
    )
    parsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, summary in VERBS.items():
        parsers.add_parser(name, help=summary, description=f"{summary.capitalize()}.", allow_abbrev=False)
    verb = _load(words[0]) if words and words[0] in VERBS else None
    if verb is not None:
        verb.add_arguments(parsers.choices[words[0]])
    args = parser.parse_args(words)
    assert verb is not None, "argparse refuses any other first word"
    try:
        return verb.execute(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        drop_output()
        return 0

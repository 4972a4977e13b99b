"""The command line: finds the verb, and maps what goes wrong to exit statuses."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Protocol

from profiler.commands import list as list_command
from profiler.commands import profile, report, run, show
from profiler.errors import UserError


class Verb(Protocol):
    """What each module of this package offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def execute(self, args: argparse.Namespace) -> int:
        """Do it; the exit status."""


VERBS: dict[str, Verb] = {"run": run, "profile": profile, "report": report, "list": list_command, "show": show}
USAGE_ERROR, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m profiler",
        description="Explain why one framework's epoch takes longer than another's.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module in VERBS.items():
        summary = (module.__doc__ or name).splitlines()[0]
        module.add_arguments(verbs.add_parser(name, help=summary, description=summary))
    args = parser.parse_args(argv)
    try:
        return VERBS[args.verb].execute(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0

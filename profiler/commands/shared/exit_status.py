"""The exit statuses of the command line, besides 0, and the errors that lead to them."""

import signal
import sys
from collections.abc import Callable

from epoch_gap.profiler.commands.shared.printing import discard_output
from epoch_gap.profiler.errors import UserError

GATE_FAILED = CELLS_FAILED = RULES_BROKEN = RANK_ENDED = 1
USAGE_ERROR = 2
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


def exit_status_of(execute: Callable[[], int]) -> int:
    """The status that `execute` returns, or that of its error: bad input (one line on stderr), or Ctrl-C."""
    try:
        return execute()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return 0

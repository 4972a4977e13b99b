"""The name of the command line, as a user of this installation types it."""

import sys
from pathlib import Path

SCRIPT = "epoch-gap"
"""the command that the wheel installs"""
MODULE = "python -m profiler"
"""in a checkout"""


def command_name() -> str:
    """`epoch-gap` outside a checkout, or if it was called by this name; else `python -m profiler`."""
    is_checkout = (Path(__file__).resolve().parents[1] / "pyproject.toml").is_file()
    called = Path(sys.argv[0]).name if sys.argv else ""
    return MODULE if is_checkout and called != SCRIPT else SCRIPT

"""Samples of py-spy, where it may take any, and the table of them that `flame` prints."""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

BRIEF = "import time\nend = time.time() + 0.5\nwhile time.time() < end: pass"


class PhaseSamples(NamedTuple):
    """A row of the table."""

    count: int
    share: float
    """of the samples"""
    marked_share: float
    """of the time between the marks"""


def skip_without_sampling() -> None:
    """Skip the test where this machine does not let py-spy look at a process that it starts."""
    spy = Path(sys.executable).parent / "py-spy"
    command = [
        spy,
        "record",
        "--nonblocking",
        "--format",
        "raw",
        "-o",
        "/dev/null",
        "--",
        sys.executable,
        "-c",
        BRIEF,
    ]
    if not spy.is_file() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("py-spy may not sample here")


ROW = re.compile(r"(\w+) +(\d+) +(?:< )?([\d.]+) % +(?:< )?([\d.]+) %")


def sampled_phases(printed: str) -> dict[str, PhaseSamples]:
    """The rows that `flame` has printed, by phase."""
    rows = filter(None, map(ROW.match, printed.splitlines()))
    return {row[1]: PhaseSamples(int(row[2]), float(row[3]) / 100, float(row[4]) / 100) for row in rows}

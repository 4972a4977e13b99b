"""Directories of runs and drill-downs: each created exclusively, with a name that sorts by age."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from epoch_gap.profiler.errors import os_errors_as_one_line


def create_directory(parent: Path, name: str) -> Path:
    """Create `<utc>-<name>-<random>` in `parent`, with a safe name. Raises UserError if that is impossible."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"  # milliseconds: names sort by age
    path = parent / f"{stamp}-{safe_name(name)}-{os.urandom(3).hex()}"
    with os_errors_as_one_line(f"cannot write runs to {parent}", "choose another --runs-dir"):
        parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
    return path


def safe_name(text: str) -> str:
    """`text` as part of a directory name: letters, digits and `.+-` only, at most 80 characters."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text)[:80]

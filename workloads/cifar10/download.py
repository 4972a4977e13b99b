"""Downloading CIFAR-10 with torchvision, in a process of its own.

The caller may be about to time another framework: torch's thread pools and memory must not be in its process.
So this module is also that process's program: `python -m epoch_gap.workloads.cifar10.download FOLDER`.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ARCHIVE: Final = "cifar-10-python.tar.gz"
SOCKET_TIMEOUT_S: Final = 10.0
"""How long a dead connection may stay silent."""
TOTAL_TIMEOUT_S: Final = 1800.0
"""How long the whole download may take: 170 MB at 0.8 Mbit/s."""


class DownloadError(Exception):
    """There is no archive; the message is the reason, in one line."""


@contextlib.contextmanager
def downloaded_archive(parent: Path) -> Iterator[Path]:
    """Download the official archive into a new directory inside `parent`, and remove it at the end.

    Every directory that had to be made for it and stays empty is removed as well.

    Raises:
        DownloadError: as `fetch`.
        OSError: nothing can be written in `parent`.
    """
    absent = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=parent) as folder:
            yield fetch(Path(folder))
    finally:
        for made in absent:
            with contextlib.suppress(OSError):
                made.rmdir()


def fetch(folder: Path) -> Path:
    """Download the archive into `folder`, silently and without importing torch here; return its path.

    Raises:
        DownloadError: the process failed (no network, no torchvision, another MD5, ...) or took too long.
    """
    print("downloading CIFAR-10 (170 MB)", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(
            _command(folder.resolve()),
            env={**os.environ, "TQDM_DISABLE": "1"},  # or the last line on stderr may be a progress bar
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TOTAL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise DownloadError(f"not finished after {TOTAL_TIMEOUT_S:g} s") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise DownloadError(lines[-1].strip())
    return folder / ARCHIVE


def _command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "epoch_gap.workloads.cifar10.download", str(folder)]


def main(folder: str) -> None:
    """Download into `folder`, in this process. Exits with the reason, as any traceback's last line gives one."""
    from torchvision.datasets import CIFAR10  # only here: it imports torch
    from torchvision.datasets.utils import download_url

    socket.setdefaulttimeout(SOCKET_TIMEOUT_S)
    try:
        download_url(CIFAR10.url, folder, ARCHIVE, CIFAR10.tgz_md5)
    except OSError as error:  # URLError is one
        sys.exit(error.strerror or str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])

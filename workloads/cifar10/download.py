"""Download of CIFAR-10 with torchvision, in a separate process.

The caller may go on to time another framework, so its process must not import torch with its threads and memory.
This module is also the program of the separate process: `python -m epoch_gap.workloads.cifar10.download FOLDER`.
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
"""the longest time without data on a connection"""
TOTAL_TIMEOUT_S: Final = 1800.0
"""the longest time of the whole download: 170 MB at 0.8 Mbit/s"""


class DownloadError(Exception):
    """The download failed; the message gives the reason in one line."""


@contextlib.contextmanager
def downloaded_archive(parent: Path) -> Iterator[Path]:
    """Download the official archive into a new directory inside `parent`; remove it when the context ends.

    Directories that were made for it are removed as well, unless they are in use by then.

    Raises:
        DownloadError: as `fetch`.
        OSError: `parent` is not writable.
    """
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=parent) as folder:
            yield fetch(Path(folder))
    finally:
        for folder_made in missing:
            with contextlib.suppress(OSError):
                folder_made.rmdir()


def fetch(folder: Path) -> Path:
    """Download the archive into `folder` in a separate process without output; return its path.

    Raises:
        DownloadError: the process failed (no network, no torchvision, wrong MD5, ...) or took too long.
    """
    print("downloading CIFAR-10 (170 MB)", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(
            _command(folder.resolve()),
            env={**os.environ, "TQDM_DISABLE": "1"},  # keeps progress bars off stderr, whose last line is the reason
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
    """Download into `folder` in this process. On failure, exit with the reason as the last line of stderr."""
    from torchvision.datasets import CIFAR10  # imports torch
    from torchvision.datasets.utils import download_url

    socket.setdefaulttimeout(SOCKET_TIMEOUT_S)
    try:
        download_url(CIFAR10.url, folder, ARCHIVE, CIFAR10.tgz_md5)
    except OSError as error:  # the base class of URLError
        sys.exit(error.strerror or str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The download without a network: with stand-ins for its process and torchvision, then with the real process."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest

from epoch_gap.workloads.cifar10 import download as cifar10_download
from epoch_gap.workloads.cifar10.download import ARCHIVE, DownloadError, downloaded_archive, fetch, main
from tests.helpers.paths import ROOT


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replaces the program of the download by a Python text; `sys.argv[1]` is the folder."""

    def replace(text: str) -> None:
        monkeypatch.setattr(cifar10_download, "_command", lambda folder: [sys.executable, "-c", text, str(folder)])

    return replace


def test_a_download_prints_one_line_and_is_removed_afterwards(
    program: Callable[[str], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program(
        "import pathlib, sys; print('hello'); print('50%', file=sys.stderr);"
        f"pathlib.Path(sys.argv[1], '{ARCHIVE}').write_bytes(b'content')"
    )
    with downloaded_archive(tmp_path / "a" / "cache") as path:
        assert path.read_bytes() == b"content"
        assert path.parent.parent == tmp_path / "a" / "cache"
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "downloading CIFAR-10 (170 MB)\n")


def test_a_download_into_a_relative_folder(
    program: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(f"import pathlib, sys; pathlib.Path(sys.argv[1], '{ARCHIVE}').touch()")
    monkeypatch.chdir(tmp_path)
    assert fetch(Path()).is_file()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import sys; sys.exit('first line\\nno network\\n')", "no network"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys; sys.exit(3)", "exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", "exit status -9"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(
    text: str, reason: str, program: Callable[[str], None], tmp_path: Path
) -> None:
    program(text)
    with pytest.raises(DownloadError) as caught, downloaded_archive(tmp_path / "cache"):
        pass
    assert str(caught.value) == reason
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_takes_too_long_is_stopped(
    program: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar10_download, "TOTAL_TIMEOUT_S", 0.01)
    program("import signal; signal.pause()")
    with pytest.raises(DownloadError, match=r"^not finished after 0\.01 s$"):
        fetch(tmp_path)


def test_an_interrupted_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path) -> Path:
        (folder / "half").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(cifar10_download, "fetch", interrupted)
    with pytest.raises(KeyboardInterrupt), downloaded_archive(tmp_path / "a" / "cache"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The calls of torchvision's `download_url`, made to a stand-in that does not import torch."""
    calls: list[tuple[object, ...]] = []
    utils = SimpleNamespace(download_url=lambda *args: calls.append(args))
    dataset = SimpleNamespace(url="https://official/", tgz_md5="5" * 32)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", SimpleNamespace(CIFAR10=dataset, utils=utils))
    monkeypatch.setitem(sys.modules, "torchvision.datasets.utils", utils)
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace())
    monkeypatch.setattr(socket, "setdefaulttimeout", lambda seconds: calls.append((seconds,)))
    return calls


def test_the_process_calls_torchvision_with_a_timeout(asked: list[tuple[object, ...]]) -> None:
    main("folder")
    assert asked == [(10.0,), ("https://official/", "folder", ARCHIVE, "5" * 32)]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            URLError(ConnectionRefusedError(111, "Connection refused")),
            "<urlopen error [Errno 111] Connection refused>",
        ),
        (OSError(28, "No space left on device", "/a/path"), "No space left on device"),
        (TimeoutError("timed out"), "timed out"),
    ],
)
def test_the_process_ends_with_the_reason(
    error: OSError, reason: str, asked: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(sys.modules["torchvision.datasets.utils"], "download_url", failing)
    with pytest.raises(SystemExit) as caught:
        main("folder")
    assert caught.value.code == reason


def test_the_caller_does_not_import_torch(tmp_path: Path) -> None:
    """With the real process, whose proxy is a closed port: it cannot reach the network."""
    pytest.importorskip("torchvision")
    program = (
        "import sys\n"
        "from epoch_gap.workloads.cifar10.load import load_cifar10\n"
        "loaded = load_cifar10(train_limit=10, test_limit=10)\n"
        "assert not {'torch', 'torchvision'} & sys.modules.keys()\n"
        "print(loaded.kind, loaded.warning)"
    )
    variables = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    variables |= dict.fromkeys(["http_proxy", "https_proxy"], "http://127.0.0.1:9/")
    variables["EPOCH_GAP_CACHE"] = str(tmp_path / "cache")
    variables.pop("CIFAR10_DATA", None)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "downloading CIFAR-10 (170 MB)\n")
    assert done.stdout.startswith("synthetic synthetic images instead of CIFAR-10: the download failed (")
    assert "refused" in done.stdout
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []

import errno
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from epoch_gap.profiler.errors import UserError
from epoch_gap.profiler.machine.run_lock import hold_run_lock

HOLD = """
from epoch_gap.profiler.machine.run_lock import hold_run_lock
with hold_run_lock("theirs", allow_others=False):
    print("in", flush=True)
    input()
"""


@pytest.fixture
def other() -> subprocess.Popen[str]:
    """A timed run of another process, which ends when its standard input does."""
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.communicate()


def test_a_run_beside_another_is_refused_with_its_process(other: subprocess.Popen[str]) -> None:
    with pytest.raises(UserError, match=f"process {other.pid}.*--allow-busy"), hold_run_lock("s", allow_others=False):
        pass


def test_a_second_run_may_be_allowed_and_is_counted(other: subprocess.Popen[str]) -> None:
    with hold_run_lock("ours", allow_others=True) as lock:
        assert lock.count_other_sessions() == 1
        other.communicate("\n")
        assert lock.count_other_sessions() == 0


def test_a_killed_run_does_not_block_other_runs(other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    with hold_run_lock("ours", allow_others=False) as lock:
        assert lock.count_other_sessions() == 0


def test_runs_of_one_session_do_not_count(other: subprocess.Popen[str]) -> None:
    with hold_run_lock("theirs", allow_others=False) as lock:
        assert lock.count_other_sessions() == 0


def test_a_profile_and_its_run_count_as_one_session(lock_folder: Path, other: subprocess.Popen[str]) -> None:
    """The parent and the child of a session both hold a place."""
    hold = HOLD.replace("allow_others=False", "allow_others=True")
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with hold_run_lock("ours", allow_others=True) as lock:
            assert lock.count_other_sessions() == 1
        child.communicate(b"\n")


def test_a_run_survives_the_loss_of_the_lock_folder(lock_folder: Path) -> None:
    with hold_run_lock("ours", allow_others=False) as lock:
        shutil.rmtree(lock_folder)
        assert lock.count_other_sessions() == 0


def test_nothing_is_left_behind(lock_folder: Path) -> None:
    with hold_run_lock("a", allow_others=False):
        assert len(list(lock_folder.rglob("a-*"))) == 1
    assert list(lock_folder.rglob("a-*")) == []


def test_a_machine_without_a_temporary_folder_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.delenv("EPOCH_GAP_LOCKS")
    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    refused = pytest.raises(UserError, match="No usable temporary directory found; set TMPDIR or EPOCH_GAP_LOCKS")
    with refused, hold_run_lock("one", allow_others=False):
        pass

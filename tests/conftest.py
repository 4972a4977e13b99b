"""Fixtures only. The folders follow the packages: `tests/analysis` tests `profiler/analysis`, and so on.

Plain functions and classes for several modules are in `tests/helpers`; no test module imports another one.
No result depends on real time; the files of this folder test the whole program, `test_bench.py` its real time.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser
from threadpoolctl import threadpool_limits

from epoch_gap.profiler.commands import run as run_command
from epoch_gap.profiler.recording.recorder import Recorder
from epoch_gap.workloads.adapters import fake
from epoch_gap.workloads.adapters.fake import Fake
from tests.helpers.browser import Open, chromium
from tests.helpers.clocks import ScriptedClock, TickingClock
from tests.helpers.outside import FOLDER as OUTSIDE
from tests.helpers.runs import MakeRun

# The same examples every time, however long a busy machine takes for one.
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def one_native_thread_per_worker() -> Iterator[None]:
    """Workers share the cores: with as many native threads as cores in each, these wait for one another.

    The limit is for libraries that are loaded already, the variable for later ones and for other processes.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    with threadpool_limits(1), pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(autouse=True)
def lock_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lock folder of this test's timed runs, separate from those of other tests and of real runs."""
    folder = tmp_path_factory.mktemp("locks")
    monkeypatch.setenv("EPOCH_GAP_LOCKS", str(folder))
    return folder


@pytest.fixture
def clock() -> ScriptedClock:
    return ScriptedClock()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens reports in a browser."""
    pages = Open(browser)
    yield pages
    pages.close()


@pytest.fixture
def make_run(tmp_path: Path, clock: ScriptedClock) -> MakeRun:
    """Store and read back a run whose steps take the given seconds, split over forward and backward 1:3."""
    return MakeRun(tmp_path / "runs", clock)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands of this process store runs in; the scripted fake trains on a scripted clock."""
    monkeypatch.setenv("EPOCH_GAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CIFAR10_DATA", raising=False)
    clock = TickingClock()
    monkeypatch.setattr(run_command, "Recorder", partial(Recorder, clock=clock))
    monkeypatch.setattr(fake, "Fake", partial(Fake, clock=clock))
    return tmp_path / "runs"


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, of another project with the adapters of tests/outside_adapters; imports are undone."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(OUTSIDE, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for file in OUTSIDE.glob("*.py"):
        monkeypatch.setitem(sys.modules, file.stem, sys)  # its undo removes what the test imports
        del sys.modules[file.stem]
    return folder


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports whose charts are built but not drawn: for tests with another subject, as drawing takes a second."""
    monkeypatch.setattr("epoch_gap.reports.charts.canvas.png", lambda figure: b"")
    monkeypatch.setattr("epoch_gap.reports.charts.canvas.svg", lambda figure: "")

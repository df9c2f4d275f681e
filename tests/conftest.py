"""Rank tests that end: one outcome for all ranks, whatever one of them does.

pytest-mpi runs pytest on every rank. A rank that fails alone would leave the others in
a collective, and their reports would say that all is well. So after each phase of a
rank test the ranks agree on its outcome, on a communicator of their own:

- a failure on one rank is a failure on all, with the traceback and the rank;
- a failed rank that waits in vain for the others (they sit in a collective it never
  reached) prints its traceback, completes its reports and ends all ranks;
- only rank 0 reports on the terminal; each rank writes a JUnit file of its own, and
  the other ranks' terminal output is a log beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from mpiapps.kernels.cache import cache_directory
from tests.combinations import half_of_lane, left_out
from tests.commands import temporary

# The first example of a test may compile a kernel: no clock decides about a test.
settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")

# s that a failed rank waits
GRACE_SECONDS = float(os.environ.get("MPIAPPS_TEST_GRACE", "5"))
ROOT = Path(__file__).parents[1]
PRELOAD = ROOT / "tests" / "preload"
# Directories with the longest files, by their order.
LONG = {ROOT / "tests" / "launch": 0, ROOT / "tests": 1}
# Names by which modules of tests start processes.
STARTERS = {"subprocess", "on_ranks", "run", "bin_directory", "multiprocessing"}

ONE_MPI = (
    "one_mpi: rank tests of what is computed, whose messages other rank tests send on"
    " all MPIs; `make test-others` leaves them out"
)

GPU = "gpu: needs a CUDA device, `make test-gpu`"


class RankReports:
    """Makes one outcome of the outcomes of all ranks."""

    def __init__(self, config: pytest.Config) -> None:
        from mpiapps.base.launch_environment import detect_launch
        from mpiapps.launch.start import limit_all_threads, start_mpi

        # As in a program: BLAS threads of oversubscribed ranks spin while they wait.
        limit_all_threads(detect_launch(os.environ), os.environ)
        start_mpi()
        from mpi4py import MPI

        self._comm, self._max = MPI.COMM_WORLD.Dup(), MPI.MAX
        self._tests_comm: Any = self._comm.Dup()
        self.half = half_of_lane(self._comm.size, MPI.get_vendor()[0])
        self.rank = self._comm.rank
        # Ranks that clear up one common directory trip over each other.
        self._own = Path(tempfile.mkdtemp(prefix=f"rank-{self.rank}-"))
        if config.option.basetemp is None:
            config.option.basetemp = self._own / "tests"
        junit = getattr(config.option, "xmlpath", None)
        log = Path(os.devnull)
        if junit:
            path = Path(junit)
            path = path.with_stem(f"{path.stem}-r{self.rank}")
            config.option.xmlpath, log = str(path), path.with_suffix(".log")
        if self.rank != 0:
            log.parent.mkdir(parents=True, exist_ok=True)
            # For good: the terminal is rank 0's.
            sys.stdout = log.open("w", buffering=1)

    @property
    def tests_comm(self) -> Any:
        """The communicator of `comm`. Collective: the first use after a failure."""
        if self._tests_comm is None:
            # The old one may have messages that nobody received: it is not freed.
            self._tests_comm = self._comm.Dup()
        return self._tests_comm

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self._own, ignore_errors=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        report = yield
        if item.get_closest_marker("mpi") is None:
            return report
        alone, anywhere = array("i", [report.failed]), array("i", [0])
        request = self._comm.Iallreduce(alone, anywhere, self._max)
        deadline = time.monotonic() + GRACE_SECONDS
        while not request.Test():
            time.sleep(0.0001)
            if report.failed and time.monotonic() > deadline:
                self._give_up(item, report)
        if not anywhere[0]:
            return report
        mine = (report.outcome, str(report.longrepr) if report.failed else "")
        everyone = self._comm.allgather(mine)
        failures = [
            f"[rank {rank} of {len(everyone)}]\n{text}"
            for rank, (outcome, text) in enumerate(everyone)
            if outcome == "failed"
        ]
        self._tests_comm = None
        report.outcome = "failed"
        report.longrepr = "\n".join(failures)
        return report

    def _give_up(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Report the failure of this rank alone, and end all ranks."""
        where = f"[rank {self.rank} of {self._comm.size}]"
        text = f"{where} failed alone, others wait elsewhere\n{report.longrepr}"
        sys.__stderr__.write(f"\n{item.nodeid} {text}\n")
        report.longrepr = text
        item.ihook.pytest_runtest_logreport(report=report)
        item.config.hook.pytest_sessionfinish(session=item.session, exitstatus=1)
        sys.__stderr__.flush()
        self._comm.Abort(1)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", ONE_MPI)
    config.addinivalue_line("markers", GPU)
    if config.getoption("--with-mpi"):
        config.pluginmanager.register(RankReports(config), "rank-reports")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip files without rank tests on ranks, where each rank would import them."""
    if config.getoption("--with-mpi") and collection_path.name.startswith("test_"):
        return "mark.mpi" not in collection_path.read_text() or None
    return None


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Mark tests that may start processes, and begin with those that take long.

    On ranks, leave out combinations that other lanes run, unless a test is named.
    """
    reports = config.pluginmanager.get_plugin("rank-reports")
    if reports is not None and not any("::" in word for word in config.args):
        omitted = set(left_out(items, reports.half))
        config.hook.pytest_deselected(items=list(omitted))
        items[:] = [item for item in items if item not in omitted]
    for item in items:
        names = vars(getattr(item, "module", object)).keys()
        if names & STARTERS:
            item.add_marker(pytest.mark.processes)
    # A long file at the end would run alone.
    items.sort(key=lambda item: LONG.get(item.path.parent, len(LONG)))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a rank run that ran nothing: a lane must not go quiet unseen."""
    if session.config.getoption("--with-mpi") and session.testscollected == 0:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture(scope="session")
def preload_server() -> Iterator[str]:
    """Start a server of forks with all libraries; yield its socket."""
    path = str(Path(tempfile.mkdtemp(dir=temporary())) / "socket")
    own = {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, PRELOAD / "fork_server.py", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | own,
        start_new_session=True,
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        yield path


@pytest.fixture(scope="module")
def preloaded(preload_server: str) -> Iterator[None]:
    """Fork the ranks and programs that tests of this module start: see `preload`.

    Not for tests of kills by process number, threads, or namespaces: those of a fork
    are the server's; `PRELOAD_SERVER=""` starts one run without forks. Coverage does
    not follow forks.
    """
    if "coverage" in sys.modules:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRELOAD_SERVER", preload_server)
        patch.setenv("PYTHONPATH", str(PRELOAD), prepend=os.pathsep)
        # As the package sets it before Numba is imported, which the forks have been.
        patch.setenv("NUMBA_CACHE_DIR", str(cache_directory()))
        yield


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """Undo what a test changes in `os.environ`: the programs limit their threads."""
    before = dict(os.environ)
    yield
    for name in before.keys() | os.environ.keys():
        if name == "PYTEST_CURRENT_TEST":
            continue
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]


@pytest.fixture
def world() -> Iterator[Any]:
    """All ranks of this run, as a `World` of the test's own."""
    from mpiapps.comm.world import World

    with World() as world:
        yield world


@pytest.fixture
def comm(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A communicator of all ranks, the same for all tests until one fails.

    It keeps its process grids. On six ranks, a communicator of its own took a test
    7 ms more.
    """
    comm = request.config.pluginmanager.get_plugin("rank-reports").tests_comm
    yield comm
    assert not comm.Iprobe(), "the test left a message that nobody received"

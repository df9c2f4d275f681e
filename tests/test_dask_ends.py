"""A Dask cluster on ranks ends with its script, whatever ends the script."""

import os
import signal
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.commands import MPIS, ROOT, bin_directory, clean_environment, marked
from tests.dask_cluster.victims import CLOSE_SECONDS, run

pytestmark = pytest.mark.usefixtures("preloaded")

SIZES = {"openmpi": 4, "mpich": 2, "impi": 3}
LONG_NAME = 80 * "x"  # of a directory, too long for the path of a socket

# By end of the script: exit code, parts of the output and of standard error.
ENDS = {
    "returns": (0, "20 ['a', '--b']", None),
    "exits 0": (0, "20 ['a', '--b']", None),
    "exits 3": (3, "20 ['a', '--b']", ""),
    "exits text": (1, "20 ['a', '--b']", "a text"),
    "raises": (1, "20 ['a', '--b']", "ZeroDivisionError"),
    "leaves": (5, "20 ['a', '--b']", ""),
    "interrupted": (130, "20 ['a', '--b']", "interrupted"),
    "terminated": (143, "20 ['a', '--b']", "signal 15"),
    "stopped": (75, "saved 8", "stopped before its end"),
    "stopped in a block": (75, "saved 8", "stopped before its end"),
    "closes the client": (3, "20 ['a', '--b']", ""),
    "loses workers": (
        0,
        "KilledWorker\n100\nKilledWorker",
        "Restarting worker|exceeded 95% memory budget",
    ),
    "loses the scheduler": (1, "20 ['a', '--b']", "killed by signal 9"),
    "kills the scheduler": (1, "20 ['a', '--b']", "killed by signal 9"),
    "swallows the loss": (1, "on to the next", "killed by signal 9"),
    "blocks the scheduler": (3, "20 ['a', '--b']", ""),
    "does not end": (0, "True\n15\n6\n", None),
    "is busy": (0, "20 ['a', '--b']", None),
    "runs commands": (0, "20 ['a', '--b']", None),
    "leaves a client": (0, "6", None),
    "shuts down": (0, "20 ['a', '--b']", None),
}
# mpiexec's own exit code for a rank that exited without MPI_Finalize.
OTHER_CODES = {("mpich", "leaves"): {5, 9}, ("impi", "leaves"): {5, 255}}


# For MPI these ends are one of those that run on all MPIs, such as "exits 3", "raises",
# "terminated" and "loses the scheduler". Each runs on one MPI, in turn.
WITHIN_DASK = ("exits 0", "closes the client", "loses workers", "blocks the scheduler",
               "does not end", "is busy", "runs commands", "leaves a client",
               "shuts down", "exits text", "interrupted", "stopped in a block",
               "kills the scheduler", "swallows the loss")  # fmt: skip


def mpis_of(ending):
    if ending not in WITHIN_DASK:
        return MPIS
    return [MPIS[WITHIN_DASK.index(ending) % len(MPIS)]]


@pytest.mark.parametrize("ending", ENDS)
def test_the_end_of_the_script_closes_the_cluster(ending, tmp_path):
    code, out, err = ENDS[ending]
    temporary = tmp_path / LONG_NAME  # like that of a job
    temporary.mkdir()

    def run_on(mpi):
        return run(mpi, SIZES[mpi], ending, TMPDIR=str(temporary))

    mpis = mpis_of(ending)
    with ThreadPoolExecutor() as pool:  # concurrently, as they mostly wait
        for mpi, done in zip(mpis, pool.map(run_on, mpis), strict=True):
            assert done.code in OTHER_CODES.get((mpi, ending), {code}), (mpi, done.err)
            assert out in done.out, mpi
            assert "was shut down" not in done.err
            if err is None:
                assert not done.err, mpi
            else:
                assert all(text in done.err for text in err.split("|")), (mpi, done.err)
    assert not [*temporary.glob("mpiapps-*"), *temporary.glob("pymp-*")]


def kill_waiting_run(mpi, script):
    """Kill the launcher of a waiting script; check that all processes end."""
    mark = f"mpiapps-test-{uuid.uuid4()}"
    command = [
        str(bin_directory(mpi) / "python"),
        str(ROOT / "scripts" / "on_ranks.py"),
    ]
    with subprocess.Popen(
        [*command, "2", "-m", "mpiapps.dask", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment(DASK_MARK=mark, PRELOAD_SERVER=""),
    ) as started:
        assert started.stdout.readline().strip("\0\n") == "waiting"
        os.kill(started.pid, signal.SIGKILL)
        until = time.monotonic() + 2 * CLOSE_SECONDS
        while left := marked(mark):
            assert time.monotonic() < until, left
            time.sleep(0.1)


def test_all_processes_end_with_a_killed_launcher(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from distributed import get_client\n"
        "future = get_client().submit(time.sleep, 100)\n"
        "print('waiting', flush=True)\n"
        "future.result()\n"
    )
    with ThreadPoolExecutor() as pool:
        list(pool.map(kill_waiting_run, MPIS, [str(script)] * len(MPIS)))


@pytest.mark.parametrize(
    "ending", ["returns", "exits 3", "raises", "imports slowly", "stopped"]
)
def test_dask_mpi_ends_a_script_with_the_same_code(ending):
    code, out, err = (ENDS | {"imports slowly": (0, "15", None)})[ending]
    args = ("--engine", "dask-mpi", "--dashboard")
    # Its workers wait up to 30 s for a running task.
    done = run("openmpi", 4, ending, *args, TASK_SECONDS="1")
    assert done.code == code
    assert done.out.startswith("20 ['a', '--b']\n")
    assert done.err.count("--engine dask-mpi: all users") == 1
    assert "ssh -N -L 8787:127.0.0.1:" in done.err
    assert out in done.out
    assert (err or "") in done.err


def test_dask_mpi_needs_three_ranks():
    done = run("openmpi", 2, "returns", "--engine", "dask-mpi")
    assert done.code == 78
    assert "needs 3 ranks" in done.err

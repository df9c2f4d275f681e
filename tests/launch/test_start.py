"""Settings of `open_world` before MPI starts."""

import os

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.launch.start import limit_all_threads
from tests.commands import MPIS, on_ranks

RANK = LaunchEnvironment("mpiexec", "PMI", 2, rank=0)


def threads(library="openblas"):
    np.eye(2) @ np.eye(2)
    pools = [pool for pool in threadpool_info() if pool["internal_api"] == library]
    assert pools
    return {pool["num_threads"] for pool in pools}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 1),
        ({"OMP_NUM_THREADS": "2"}, 2),  # for OpenBLAS, too
        ({"OMP_NUM_THREADS": ""}, 1),
        ({"OPENBLAS_NUM_THREADS": "3"}, 5),  # read when it was loaded
        ({"MPIAPPS_THREADS": "1"}, 1),
        ({"MKL_NUM_THREADS": "2"}, 1),
    ],
    ids=str,
)
def test_loaded_libraries_are_limited_unless_set_by_the_user(variables, expected):
    environ = dict(variables)
    with threadpool_limits(limits=5):
        limit_all_threads(RANK, environ)
        assert threads() == {expected}
    assert environ["OPENBLAS_NUM_THREADS"] == variables.get(
        "OPENBLAS_NUM_THREADS", str(expected)
    )


def test_limits_are_set_once():
    environ = {}
    limit_all_threads(RANK, environ)
    with threadpool_limits(limits=2):  # the user's, later
        limit_all_threads(RANK, environ)
        assert threads() == {2}


def test_process_without_launcher_keeps_its_cores():
    environ = {}
    limit_all_threads(LaunchEnvironment(), environ)
    assert environ["OMP_NUM_THREADS"] == str(len(os.sched_getaffinity(0)))


# Rank 1, or LATE_RANK, comes late to MPI_Init. All ranks survive the signal that warns
# jobs, which is sent to their process group.
LATE = """
import os, signal, subprocess, time
rank = os.environ.get("PMI_RANK") or os.environ.get("OMPI_COMM_WORLD_RANK")
signal.signal(signal.SIGUSR1, lambda *_: None)
if "WARNED" in os.environ and rank == "0":
    subprocess.Popen(["sh", "-c", "sleep 3; kill -s USR1 0"])
if rank == os.environ.get("LATE_RANK", "1"):
    time.sleep(float(os.environ["LATE"]))
from mpiapps.comm import open_world
with open_world() as world:
    print(f"size {world.size}\\n", end="", flush=True)  # one write
"""


@pytest.mark.usefixtures("preloaded")
@pytest.mark.parametrize("mpi", MPIS)
def test_ranks_that_hang_in_mpi_init_end_at_a_limit(mpi):
    ended = on_ranks(mpi, 2, "-c", LATE, LATE="200", MPIAPPS_START_LIMIT="1s")
    assert ended.code in (9, 137, 255)
    assert ended.err.count("MPI_Init has not returned in 1s") == 1
    assert "size" not in ended.out


@pytest.mark.usefixtures("preloaded")
def test_the_last_rank_is_limited_if_rank_0_does_not_start():
    variables = {"MPIAPPS_START_LIMIT": "1s", "LATE_RANK": "0"}
    ended = on_ranks("mpich", 3, "-c", LATE, LATE="200", **variables)
    assert ended.code in (9, 137)
    assert ended.err.count("rank 2 on") == 1
    assert "MPI_Init has not returned in 11s" in ended.err


@pytest.mark.usefixtures("preloaded")
def test_a_signal_to_the_ranks_does_not_end_the_limit_of_mpi_init():
    variables = {"MPIAPPS_START_LIMIT": "5s", "WARNED": "1"}
    ended = on_ranks("mpich", 2, "-c", LATE, LATE="30", **variables)
    assert ended.code in (9, 137)
    assert "MPI_Init has not returned in 5s" in ended.err


@pytest.mark.usefixtures("preloaded")
def test_the_limit_of_mpi_init_ends_with_it():
    variables = {"MPIAPPS_START_LIMIT": "40s", "MPIAPPS_DEADLINE": "1"}
    ended = on_ranks("mpich", 2, "-c", LATE, LATE="1.5", **variables)
    assert (ended.code, ended.out.count("size 2")) == (0, 2), ended.err
    assert "MPI_Init" not in ended.err
    ended = on_ranks("mpich", 1, "-c", LATE, LATE="0", MPIAPPS_START_LIMIT="soon")
    assert ended.code == 78
    assert "MPIAPPS_START_LIMIT: 'soon' is not a time" in ended.err

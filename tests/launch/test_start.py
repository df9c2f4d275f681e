"""Settings of `open_world` before MPI starts."""

import os

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.launch.start import limit_all_threads

RANK = LaunchEnvironment("mpiexec", "PMI", 2, 0)


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

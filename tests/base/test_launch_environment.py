import pytest

from mpiapps.base.launch_environment import (
    LaunchEnvironment,
    detect_launch,
    without_rank_variables,
)
from mpiapps.base.threads import THREAD_VARIABLES, limit_threads, usable_cores

OMPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2", "PMIX_RANK": "2"}
HYDRA = {"PMI_SIZE": "3", "PMI_RANK": "0", "MPI_LOCALRANKID": "0"}
STEP = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1"}


@pytest.mark.parametrize(
    ("environ", "size", "rank", "manager"),
    [
        (OMPI, 4, 2, "PMIx"),
        (HYDRA, 3, 0, "PMI"),
        (STEP, 8, 5, "none"),
        (STEP | {"PMIX_RANK": "5"}, 8, 5, "PMIx"),
        # mpiexec on several hosts starts its daemons by srun: mpiexec is the launcher
        (STEP | OMPI, 4, 2, "PMIx"),
        (STEP | HYDRA, 3, 0, "PMI"),
    ],
)
def test_launcher_is_detected(environ, size, rank, manager):
    launch = detect_launch(environ)
    assert (launch.size, launch.rank) == (size, rank)
    assert launch.process_manager == manager
    assert launch.is_reporting_rank == (rank == 0)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        # a batch script: Slurm's job variables, but no step
        {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_ID": "7"},
        {"PMI_SIZE": "many", "PMI_RANK": "0"},
    ],
)
def test_every_process_reports_without_launcher(environ):
    launch = detect_launch(environ)
    assert launch == LaunchEnvironment()
    assert launch.is_reporting_rank


def test_default_threads_with_and_without_launcher():
    launched, lone = dict(HYDRA), {}
    limit_threads(detect_launch(launched), launched)
    limit_threads(detect_launch(lone), lone)
    assert {launched[name] for name in THREAD_VARIABLES} == {"1"}
    assert {lone[name] for name in THREAD_VARIABLES} == {str(usable_cores())}


def test_threads_are_limited_to_the_cores_unless_set_by_the_user():
    environ = HYDRA | {"SLURM_CPUS_PER_TASK": "10000"}
    limit_threads(detect_launch(environ), environ)
    assert environ["OMP_NUM_THREADS"] == str(usable_cores())
    own = HYDRA | {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "2"}
    limit_threads(detect_launch(own), own)
    assert own["OPENBLAS_NUM_THREADS"] == "3"
    assert own["MKL_NUM_THREADS"] == "2"
    nested = HYDRA | {"OMP_NUM_THREADS": "3, 2", "MKL_NUM_THREADS": ""}
    limit_threads(detect_launch(nested), nested)
    assert nested["OMP_NUM_THREADS"] == "3, 2"
    assert nested["OPENBLAS_NUM_THREADS"] == nested["MKL_NUM_THREADS"] == "3"


def test_settings_of_users_are_kept():
    settings = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_btl": "self,tcp",
        "PRTE_MCA_rmaps_default_mapping_policy": ":X",
        "OMPI_CC": "clang",
        "PMIX_MCA_gds": "hash",
        "HYDRA_LAUNCHER": "ssh",
        "I_MPI_FABRICS": "shm",
        "PATH": "/bin",
        "SLURM_JOB_ID": "7",
    }
    rank = OMPI | HYDRA | STEP | {"OMPI_MCA_orte_hnp_uri": "x", "PMIX_NAMESPACE": "y"}
    assert without_rank_variables(rank | settings) == settings

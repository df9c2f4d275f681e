"""A rank's handle of the process that runs Dask on its host."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mpiapps.base.errors import LaunchError, MpiAppsError, os_errors
from mpiapps.base.launch_environment import without_rank_variables
from mpiapps.base.optional import require
from mpiapps.base.processes import SESSION_TAG, end_session
from mpiapps.base.streams import write_err

REQUIRED_MODULES = ("distributed", "cryptography")
COMMAND = (sys.executable, "-m", "mpiapps.dask_cluster.host_service")
START_TIMEOUT = 60.0  # s to start Dask: its import from a shared disk is slow
EXIT_SECONDS = 1.0  # for a process that is about to end
CLOSE_SECONDS = 9.0  # for the process to close scheduler and workers
# As distributed sets them for workers; some are read when a process starts.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "PYTHONHASHSEED": "6640",
}
MAX_SOCKET_PATH = 107  # bytes, of a Unix domain socket
SOCKET_NAME_BYTES = len("/mpiapps-12345678/pymp-12345678/listener-12345678")
FALLBACK_DIRECTORY = "/tmp"


class HostProcessDied(MpiAppsError):
    """The process of the scheduler or of a host's workers ended before the run."""


class HostProcess:
    """The process that runs the scheduler and the workers of this host. Local.

    Attributes
    ----------
    host : str
        The name of this host, for messages.
    """

    def __init__(self) -> None:
        """Start it. Raise `LaunchError` if Dask is not installed."""
        for module in REQUIRED_MODULES:
            require(module, "dask", "a Dask cluster")
        self.host = socket.gethostname()
        self._tag = str(uuid.uuid4())
        self._close_by: float | None = None
        self._buffer, self._local_directory = b"", ""
        self._socket_directory = _make_socket_directory()
        self._socket, remote = socket.socketpair()
        with remote:
            self._process = subprocess.Popen(
                [*COMMAND, str(remote.fileno()), self._socket_directory],
                stdin=subprocess.DEVNULL,
                pass_fds=[remote.fileno()],
                env=_environment(os.environ, self._tag),
                start_new_session=True,  # the rank handles Ctrl-C
            )

    def send(self, order: Mapping[str, Any]) -> None:
        """Send an order; if the process has ended, `recv` raises."""
        with suppress(OSError):
            self._socket.sendall(json.dumps(order).encode() + b"\n")

    def recv(self, timeout: float = START_TIMEOUT) -> dict[str, Any]:
        """Return the answer to an order, and print its notes; wait up to `timeout` s.

        Raises
        ------
        LaunchError
            If there is no answer in time, or the order failed.
        HostProcessDied
            If the process has ended.
        """
        until = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            data = self._read(max(0.0, until - time.monotonic()))
            if data is None:
                raise LaunchError(
                    f"Dask on {self.host} did not start within {timeout:g} s; check"
                    " its log, and the network between the hosts (--interface)"
                )
            if not data:
                raise HostProcessDied(self.exit_reason())
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LaunchError(f"Dask on {self.host} did not start: {answer['error']}")
        self._local_directory = answer.get("local_directory", self._local_directory)
        for note in answer.get("notes", ()):
            write_err(f"mpiapps: {self.host}: {note}\n")
        return answer

    def start_workers(self, address: str, host: str, workers: list[Any]) -> None:
        """Start workers at `host`, and wait until they are connected to `address`."""
        self.send({"address": address, "host": host, "workers": workers})
        self.recv()

    def exit_reason(self) -> str:
        """Return how the process ended."""
        try:
            code = self._process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return f"Dask's scheduler on {self.host} was shut down"
        end = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
        return f"Dask's process on {self.host} {end}"

    def has_exited(self) -> bool:
        """Return whether the process has ended by itself."""
        return self._process.poll() is not None

    def remaining(self) -> float:
        """Return the seconds left of `CLOSE_SECONDS`, counted from the first call."""
        now = time.monotonic()
        if self._close_by is None:
            self._close_by = now + CLOSE_SECONDS
        return max(0.0, self._close_by - now)

    def close(self) -> dict[str, Any]:
        """Begin to close workers and scheduler; return the statistics of the run.

        They are empty on hosts without the scheduler. `terminate` waits for the end.
        """
        self.send({"end": True})
        with suppress(MpiAppsError):
            return self.recv(self.remaining())
        return {}

    def terminate(self) -> None:
        """Wait for the end of the process and its workers; kill them after a while.

        Once it has closed its socket, the workers and their directory are gone.
        """
        if self._socket.fileno() < 0:
            return
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        while data := self._read(self.remaining()):
            pass
        if data is None:
            self._process.kill()
            self._process.wait()
        self._socket.close()
        if (
            self._local_directory and Path(self._local_directory).exists()
        ):  # it was killed
            end_session(self._process.pid, EXIT_SECONDS, tag=self._tag)
            shutil.rmtree(self._local_directory, ignore_errors=True)
        shutil.rmtree(self._socket_directory, ignore_errors=True)

    def _read(self, seconds: float) -> bytes | None:
        if not select.select([self._socket], [], [], seconds)[0]:
            return None
        try:
            return self._socket.recv(2**20)
        except ConnectionResetError:
            return b""


def _environment(environ: Mapping[str, str], tag: str) -> dict[str, str]:
    """Return the user's environment with `WORKER_ENVIRONMENT`.

    It replaces the limits that `limit_threads` has set for the rank: a worker with
    several threads runs that many tasks of one thread each.
    """
    return {**without_rank_variables(environ), **WORKER_ENVIRONMENT, SESSION_TAG: tag}


def _make_socket_directory() -> str:
    """Return a new private directory whose path is short enough for sockets in it."""
    parent = tempfile.gettempdir()
    if len(os.fsencode(parent)) + SOCKET_NAME_BYTES > MAX_SOCKET_PATH:
        parent = FALLBACK_DIRECTORY
    with os_errors(parent, "write"):
        return tempfile.mkdtemp(prefix="mpiapps-", dir=parent)

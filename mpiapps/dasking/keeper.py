"""A rank's side of the process that has Dask's parts of its host."""

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

from mpiapps.base.errors import LaunchError, MpiAppsError, naming
from mpiapps.base.launcher import not_a_rank
from mpiapps.base.named import see_installed
from mpiapps.base.session import MARK, end_session

NEEDED = ("distributed", "cryptography")
SERVICE = (sys.executable, "-m", "mpiapps.dasking.service")
YIELD = 1.0  # s for a process that is about to end
GRACE = 9.0  # s that the process has to close what it started
# As distributed sets them for workers; some are read when a process begins.
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "PYTHONHASHSEED": "6640",
}
PATHS = 107  # bytes that the path of a socket may have
SOCKET = len("/mpiapps-12345678/pymp-12345678/listener-12345678")  # of it
SHORT = "/tmp"


class KeeperLost(MpiAppsError):
    """Dask's scheduler, or the workers of a host, ended before the run."""


class Keeper:
    """One process for the scheduler and the workers of this host. Local.

    Attributes
    ----------
    host : str
        The name of this host, for messages.
    """

    def __init__(self) -> None:
        """Start it; it loads Dask meanwhile. `LaunchError` if that is not installed."""
        for module in NEEDED:
            see_installed(module, "dask", "a Dask cluster")
        self.host = socket.gethostname()
        self._mark = str(uuid.uuid4())
        self._over: float | None = None
        self._text, self._folder = b"", ""
        self._sockets = _folder_of_sockets()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*SERVICE, str(theirs.fileno()), self._sockets],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_environment(os.environ, self._mark),
                start_new_session=True,  # a Ctrl-C is the rank's to handle
            )

    def order(self, content: Mapping[str, Any]) -> None:
        """Send an order; if nobody is there, `answer` tells."""
        with suppress(OSError):
            self._socket.sendall(json.dumps(content).encode() + b"\n")

    def answer(self, seconds: float) -> dict[str, Any]:
        """Return the answer to an order; wait for it so long.

        Raises
        ------
        LaunchError
            If there is none, or the order could not be done.
        """
        until = time.monotonic() + seconds
        while b"\n" not in self._text:
            data = self._read(max(0.0, until - time.monotonic()))
            if data is None:
                raise LaunchError(
                    f"Dask on {self.host} did not start within {seconds:g} s; see what"
                    " it wrote, and whether the hosts reach each other (--interface)"
                )
            if not data:
                raise KeeperLost(self.told())
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise LaunchError(f"Dask on {self.host} did not start: {found['error']}")
        self._folder = found.get("folder", self._folder)
        return found

    def told(self) -> str:
        """Return why there is no process any more."""
        try:
            code = self._process.wait(YIELD)
        except subprocess.TimeoutExpired:
            return f"Dask's scheduler on {self.host} was shut down"
        how = f"killed by signal {-code}" if code < 0 else f"ended with {code}"
        return f"Dask's process on {self.host} was {how}"

    def lost(self) -> bool:
        """Return whether the process has ended by itself."""
        return self._process.poll() is not None

    def left(self) -> float:
        """Return the seconds left to end all: `GRACE`, from the first call on."""
        now = time.monotonic()
        if self._over is None:
            self._over = now + GRACE
        return max(0.0, self._over - now)

    def close(self) -> dict[str, Any]:
        """Begin to close workers and scheduler; return what the run was, if it tells.

        `end` waits until it is done.
        """
        self.order({"end": True})
        found: dict[str, Any] = {}
        with suppress(MpiAppsError):
            found = self.answer(self.left())
        return found

    def end(self) -> None:
        """End the process, whatever it does; workers follow it.

        When it has closed its side, workers and folder are gone, and it follows.
        """
        if self._socket.fileno() < 0:
            return
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        while data := self._read(self.left()):
            pass
        if data is None:
            self._process.kill()
            self._process.wait()
        self._socket.close()
        if self._folder and Path(self._folder).exists():  # it was killed
            end_session(self._process.pid, YIELD, mark=self._mark)
            shutil.rmtree(self._folder, ignore_errors=True)
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _read(self, seconds: float) -> bytes | None:
        if not select.select([self._socket], [], [], seconds)[0]:
            return None
        try:
            return self._socket.recv(2**20)
        except ConnectionResetError:
            return b""


def _environment(environ: Mapping[str, str], mark: str) -> dict[str, str]:
    """Return the environment of Dask's processes: the user's, and its own settings.

    `limit_threads` has set the threads of a rank; a worker with several threads runs
    that many tasks, of one thread each.
    """
    return {**not_a_rank(environ), **SETTINGS, MARK: mark}


def _folder_of_sockets() -> str:
    """Return a new private folder whose path is short enough for those of sockets."""
    where = tempfile.gettempdir()
    if len(os.fsencode(where)) + SOCKET > PATHS:
        where = SHORT
    with naming(where, "write"):
        return tempfile.mkdtemp(prefix="mpiapps-", dir=where)

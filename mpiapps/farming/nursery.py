"""A helper process that does commands for a rank, and outlives it by no command.

A rank cannot end the children of its tasks when it is killed itself. This process has
no MPI in it; it takes orders on standard input, a JSON line each, and answers on
standard output. When its input ends, because the rank left or died, it ends what is at
work. Orphans of a command become its own children, so that daemons are found as well.

usage: python -m mpiapps.farming.nursery, by `Nursery`
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from mpiapps.farming.child import LATEST, Child, Ended, Limits

SET_CHILD_SUBREAPER = 36  # man 2 prctl


class Nursery:
    """The rank's side: one helper, which does one command at a time. Local."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def do(
        self, order: Mapping[str, Any], meanwhile: Callable[[], object] | None = None
    ) -> Ended:
        """Return how a command ended; `meanwhile` is called while it is at work.

        `order` has the arguments of `Child` by name, limits apart, as JSON can hold
        them.
        """
        start = time.monotonic()
        try:
            helper = self._started()
            assert helper.stdin is not None
            helper.stdin.write(json.dumps(order) + "\n")
            helper.stdin.flush()
            answer = self._answer(helper, meanwhile)
        except OSError:
            answer = ""
        if not answer:  # it was killed: memory ran out, or somebody did it
            self.close()
            took = time.monotonic() - start
            return Ended(-signal.SIGKILL, "lost", took, 0.0, 0)
        return Ended(**json.loads(answer))

    def close(self) -> None:
        """End the helper, and what is at work. Local."""
        if self._process is not None:
            with suppress(OSError), self._process:
                pass
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mpiapps.farming.nursery"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # a Ctrl-C is the rank's to handle
            )
        return self._process

    @staticmethod
    def _answer(
        helper: subprocess.Popen[str], meanwhile: Callable[[], object] | None
    ) -> str:
        assert helper.stdout is not None
        while meanwhile is not None and not _readable(helper.stdout, LATEST):
            meanwhile()
        return helper.stdout.readline()


def _readable(stream: IO[str], seconds: float) -> bool:
    return bool(select.select([stream], [], [], seconds)[0])


def serve() -> None:
    """Do what comes on standard input, until it ends. Local."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        limits = Limits(order.pop("seconds"), order.pop("memory"))
        log, folder = Path(order.pop("log")), order.pop("folder")
        child = Child(
            log=log, folder=Path(folder) if folder else None, limits=limits, **order
        )
        while (ended := child.look()) is None:
            if child.pause([sys.stdin], LATEST):  # nothing is sent now: it has ended
                child.end()
                end_orphans()
                return
        end_orphans()
        sys.stdout.write(json.dumps(asdict(ended)) + "\n")
        sys.stdout.flush()


def end_orphans() -> None:
    """Kill and wait for all children of this process. Local."""
    listed = Path("/proc/self/task") / str(os.getpid()) / "children"
    while pids := listed.read_text().split():
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(int(pid), signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)


if __name__ == "__main__":
    serve()

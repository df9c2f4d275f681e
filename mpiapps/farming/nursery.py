"""A helper process that does commands for a rank, and outlives it by no command.

A rank cannot end the children of its tasks when it is killed itself. This process has
no MPI in it; it takes orders on standard input, a JSON line each, and answers on
standard output. When its input ends, because the rank left or died, it ends what is at
work: see `helper`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from mpiapps.base.session import process, processes, send_signal
from mpiapps.farming.child import Ended
from mpiapps.farming.helper import NAME, READ, mark_of, readable

QUIET = 10.0  # s without an answer, after which the helper is looked at


class Nursery:
    """The rank's side: one helper, which does commands at the same time. Local.

    Parameters
    ----------
    cpus : collection of int
        The processors that commands may use; empty: those of this process.
    environ : mapping, optional
        What commands have in their environment besides what their orders tell.
    """

    def __init__(
        self, cpus: Collection[int] = (), environ: Mapping[str, str] | None = None
    ) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self._cpus = ",".join(map(str, sorted(cpus)))
        self._mark = f"{os.getpid()}.{time.time_ns()}"  # of no other farm's processes
        self._process: subprocess.Popen[bytes] | None = None
        self._begun: dict[str, float] = {}
        self._text = b""
        self._heard = time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether commands are at work."""
        return bool(self._begun)

    def start(self, name: str, order: Mapping[str, Any]) -> None:
        """Begin a command.

        `order` has the arguments of `Child` by name, as JSON can hold them; those of
        its limits among them.
        """
        if not self._begun:
            self._heard = time.monotonic()
        self._begun[name] = time.monotonic()
        environ = {**order["environ"], NAME: f"{self._mark}/{name}"}
        line = json.dumps({**order, "name": name, "environ": environ}).encode() + b"\n"
        with suppress(OSError):  # it was killed: `poll` will tell
            helper = self._started()
            assert helper.stdin is not None
            helper.stdin.write(line)
            helper.stdin.flush()

    def stop(self) -> None:
        """Ask all commands at work to end; what does not is killed a moment later."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.write(b"{}\n")
                self._process.stdin.flush()

    def fileno(self) -> int:
        """Return the number by which its answers are waited for; -1 if it is gone."""
        out = self._process.stdout if self._process is not None else None
        return -1 if out is None else out.fileno()

    def poll(self) -> list[tuple[str, Ended]]:
        """Return which commands have ended, and how; without a wait for answers."""
        if not self._begun:
            return []
        number = self.fileno()
        if number >= 0 and not readable([number], 0):
            self._see_whether_stopped()
            return []
        self._heard = time.monotonic()
        data = os.read(number, READ) if number >= 0 else b""
        if not data:  # it was killed: memory ran out, or somebody did it
            return self._lost()
        *lines, self._text = (self._text + data).split(b"\n")
        answers = [json.loads(line) for line in lines]
        for answer in answers:
            del self._begun[answer["name"]]
        return [(answer.pop("name"), Ended(**answer)) for answer in answers]

    def close(self) -> None:
        """End the helper, and what is at work. Local."""
        if self._process is not None:
            with suppress(OSError), self._process:
                pass
            self._process, self._text = None, b""

    def _lost(self) -> list[tuple[str, Ended]]:
        """Kill what a killed helper left, and return that as lost."""
        self.close()
        end_marked(self._mark)
        now = time.monotonic()
        lost = [
            (name, Ended(-signal.SIGKILL, "lost", now - start))
            for name, start in self._begun.items()
        ]
        self._begun = {}
        return lost

    def _see_whether_stopped(self) -> None:
        """Say so if the helper cannot answer, since somebody has stopped it."""
        if time.monotonic() - self._heard < QUIET or self._process is None:
            return
        self._heard = time.monotonic()
        found = process(self._process.pid)
        if found is not None and found.state == "T":
            sys.stderr.write(
                f"mpiapps: process {found.pid}, which begins and ends the tasks of this"
                f" host, is stopped; go on with: kill -CONT {found.pid}\n"
            )
            sys.stderr.flush()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mpiapps.farming.helper", self._cpus],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C is the rank's to handle
            )
            assert self._process.stdin is not None
            text = json.dumps(self._environ)
            self._process.stdin.write(text.encode() + b"\n")
        return self._process


def wait_for(nurseries: Iterable[Nursery], seconds: float) -> None:
    """Wait until one that is busy has an answer or is gone; for so long. Local."""
    numbers = [each.fileno() for each in nurseries if each.busy]
    if numbers and min(numbers) >= 0:
        readable(numbers, seconds)


def end_marked(mark: str) -> None:
    """Kill what is left of the tasks of a helper that is gone. Local."""
    marked = [each.pid for each in processes() if mark_of(each.pid).startswith(mark)]
    send_signal(marked, signal.SIGKILL)

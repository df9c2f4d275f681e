"""Execute probes side by side, each in a process of its own with a time limit."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from mpiapps.diagnostics.probe import Examination, Finding, NotApplicable, Probe
from mpiapps.diagnostics.system import System

LIMIT = 2.0  # s per probe, unless it has its own
READ_BYTES = 1 << 16


@dataclass
class _Child:
    """A process that executes one probe, and the pipe for its outcome."""

    probe: Probe
    pid: int
    pipe: int
    deadline: float
    output: bytearray = field(default_factory=bytearray)

    def kill(self) -> None:
        """Kill the process and its descendants; do not wait for one that cannot end."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def examine(
    probes: Iterable[Probe], system: System, limit: float = LIMIT
) -> list[Examination]:
    """Return the outcome of each probe, in their order.

    A probe that raises, crashes or exceeds its limit does not affect the others.
    Call it before MPI and before threads are started, since it forks.
    """
    selector = selectors.DefaultSelector()
    children = [_start(probe, system, limit) for probe in probes]
    for child in children:
        selector.register(child.pipe, selectors.EVENT_READ, child)
    results: dict[int, Examination] = {}
    while selector.get_map():
        nearest = min(key.data.deadline for key in selector.get_map().values())
        for key, _ in selector.select(max(0.0, nearest - time.monotonic())):
            data = os.read(key.fd, READ_BYTES)
            key.data.output += data
            if not data:
                selector.unregister(key.fd)
                results[key.data.pid] = _outcome(key.data)
        for key in list(selector.get_map().values()):
            if time.monotonic() >= key.data.deadline:
                selector.unregister(key.fd)
                key.data.kill()
                results[key.data.pid] = _timed_out(key.data.probe, limit)
    for child in children:
        os.close(child.pipe)
        child.kill()  # what it has left behind
        with suppress(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)
    return [results[child.pid] for child in children]


def _start(probe: Probe, system: System, limit: float) -> _Child:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        with suppress(OSError):  # the child may already have done so, or have ended
            os.setpgid(pid, pid)
        return _Child(probe, pid, reader, time.monotonic() + (probe.limit or limit))
    try:
        os.setpgid(0, 0)
        os.close(reader)
        text = json.dumps(outcome(probe, system).as_dict())
        with open(writer, "w") as pipe:  # noqa: PTH123 - a descriptor
            pipe.write(text)
    finally:
        os._exit(0)


def outcome(probe: Probe, system: System) -> Examination:
    """Execute a probe in this process, and return its outcome."""
    try:
        findings = tuple(probe(system))
    except NotApplicable as reason:
        return Examination(
            probe.name, probe.examines, "not applicable", reason=str(reason)
        )
    except Exception as error:  # of any probe, also of another package
        text = traceback.format_exception_only(error)[-1].strip()
        return Examination(probe.name, probe.examines, "failed", reason=text)
    status = "found" if findings else "ok"
    return Examination(probe.name, probe.examines, status, findings)


def _outcome(child: _Child) -> Examination:
    """Return what a child has sent before it ended."""
    probe = child.probe
    try:
        values = json.loads(child.output)
    except ValueError:
        reason = f"its process ended without a result{_signal(child.pid)}"
        return Examination(probe.name, probe.examines, "failed", reason=reason)
    return from_dict(values)


def _signal(pid: int) -> str:
    with suppress(ChildProcessError):
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return f", by signal {os.WTERMSIG(status)}"
    return ""


def _timed_out(probe: Probe, limit: float) -> Examination:
    reason = f"no result within {probe.limit or limit:g} s"
    return Examination(probe.name, probe.examines, "timed out", reason=reason)


def from_dict(values: dict[str, object]) -> Examination:
    """Return an examination from JSON."""
    findings = values.pop("findings")
    assert isinstance(findings, list)
    return Examination(
        findings=tuple(Finding(**each) for each in findings),
        **values,  # type: ignore[arg-type]
    )

"""Execute probes side by side, each in a process of its own with a time limit."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

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
    output: bytearray = field(default_factory=bytearray)

    def read(self) -> bool:
        """Read what is there; return whether the process has closed its end."""
        with suppress(BlockingIOError):
            while data := os.read(self.pipe, READ_BYTES):
                self.output += data
            return True
        return False

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
    children = [_start(probe, system) for probe in probes]
    started = time.monotonic()  # of the last: a busy host takes long to start them
    results: dict[int, Examination] = {}
    with selectors.DefaultSelector() as selector:
        for child in children:
            selector.register(child.pipe, selectors.EVENT_READ, child)
        while active := [key.data for key in selector.get_map().values()]:
            ends = {c.pid: started + (c.probe.limit or limit) for c in active}
            selector.select(max(0.0, min(ends.values()) - time.monotonic()))
            now = time.monotonic()
            for child in active:
                if child.read():
                    results[child.pid] = _outcome(child)
                elif now >= ends[child.pid]:
                    child.kill()
                    results[child.pid] = _timed_out(child.probe, limit)
                else:
                    continue
                selector.unregister(child.pipe)
    for child in children:
        os.close(child.pipe)
        child.kill()  # what it has left behind
        with suppress(ChildProcessError):
            os.waitpid(child.pid, os.WNOHANG)
    return [results[child.pid] for child in children]


def _start(probe: Probe, system: System) -> _Child:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    pid = os.fork()
    if pid:
        os.close(writer)
        with suppress(OSError):  # the child may already have done so, or have ended
            os.setpgid(pid, pid)
        return _Child(probe, pid, reader)
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
        findings, facts = probe.observe(system)
    except NotApplicable as reason:
        return Examination(
            probe.name, probe.examines, "not applicable", reason=str(reason)
        )
    except Exception as error:  # of any probe, also of another package
        text = traceback.format_exception_only(error)[-1].strip()
        return Examination(probe.name, probe.examines, "failed", reason=text)
    status = "found" if findings else "ok"
    return Examination(
        probe.name, probe.examines, status, tuple(findings), facts=tuple(facts)
    )


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


def from_dict(values: Mapping[str, Any]) -> Examination:
    """Return an examination from `Examination.as_dict`, or from its JSON."""
    findings = tuple(Finding(**each) for each in values["findings"])
    facts = tuple(values["facts"])
    return Examination(**{**values, "findings": findings, "facts": facts})

"""Replaying a trace by SimGrid's `smpirun`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from platform_xml import to_xml

from mpiapps.base.platforms import Platform

SOURCE = Path(__file__).with_name("replay.cpp")
BUILD = Path(__file__).parents[2] / ".bench" / "simulate"
# Open MPI's algorithms; bandwidth and latency as in the platform, without the factors
# that SMPI measured on gigabit Ethernet; stacks for 16,384 ranks in one process.
OPTIONS = (
    "smpi/coll-selector:ompi",
    "smpi/privatization:no",
    "smpi/lat-factor:0:1",
    "smpi/bw-factor:0:1",
    "network/TCP-gamma:0",
    "network/weight-S:0",
    "contexts/stack-size:256",
    "contexts/guard-size:0",
)
MISSING = (
    "smpirun is not installed; on Debian: apt-get install libsimgrid-dev g++ (SimGrid"
    " 3.32 or later)"
)


@dataclass(frozen=True)
class Replay:
    """Simulated time in s, and the busiest link: its name, bytes, s to send them."""

    seconds: float
    link: str
    link_bytes: float
    link_busy: float


def replayer() -> Path:
    """Return the program that replays, compiled if `replay.cpp` is newer."""
    if not (shutil.which("smpirun") and shutil.which("g++")):
        raise FileNotFoundError(MISSING)
    target = BUILD / "replay"
    if not target.exists() or target.stat().st_mtime < SOURCE.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        flags = ["-std=c++17", "-O1", "-fPIC", "-shared", "-I/usr/include/smpi"]
        command = ["g++", *flags, str(SOURCE), "-o", str(target), "-lsimgrid"]
        subprocess.run(command, check=True)
    return target


def replay(
    platform: Platform,
    traces: Iterable[Iterable[str]],
    hosts: Sequence[int],
    limit: float,
) -> Replay:
    """Replay the actions of each rank.

    Parameters
    ----------
    platform : Platform
    traces : iterable of iterable of str
        Actions of rank 0, of rank 1, ..., without the number of the rank.
    hosts : sequence of int
        The host of each rank.
    limit : float
        s, after which `subprocess.TimeoutExpired` is raised.
    """
    program = replayer()
    with tempfile.TemporaryDirectory(prefix="simulate-") as name:
        folder = Path(name)
        count = max(64, max(hosts) + 1)
        (folder / "platform.xml").write_text(to_xml(platform, count))
        (folder / "hosts").write_text("".join(f"h-{host}\n" for host in hosts))
        names = []
        for rank, actions in enumerate(traces):
            path = folder / f"rank{rank}"
            lines = ["init", *actions, "finalize"]
            path.write_text("".join(f"{rank} {line}\n" for line in lines))
            names.append(f"{path}\n")
        (folder / "traces").write_text("".join(names))
        command = ["smpirun", "-np", str(len(hosts)), "--log=root.thres:warning"]
        command += ["-platform", str(folder / "platform.xml")]
        command += ["-hostfile", str(folder / "hosts")]
        command += [f"--cfg={option}" for option in OPTIONS]
        command += ["-replay", str(folder / "traces"), str(program)]
        return _parsed(*_output(command, limit))


def _output(command: list[str], limit: float) -> tuple[int, str, str]:
    """Return exit code and output; end the simulator with its shell at the limit."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, out, err


def _parsed(code: int, out: str, err: str) -> Replay:
    rows = [line.split() for line in out.splitlines()]
    times = [float(row[1]) for row in rows if row[:1] == ["time"]]
    links = [row for row in rows if row[:1] == ["link"]]
    if not times:
        text = (out + err)[:2000]
        raise RuntimeError(f"smpirun failed with {code}:\n{text}")
    name, size, busy = links[0][1:4] if links else ("", 0, 0)
    return Replay(times[0], name, float(size), float(busy))

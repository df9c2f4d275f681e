"""Runs of the farm, in the foreground and in the background."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.commands import LIMIT, ROOT, bin_directory, clean_environment

FARM = ("-m", "mpiapps.farm")


def write_list(path, *lines):
    """Write a list of tasks; return its name."""
    path.write_bytes(b"\n".join(os.fsencode(line) for line in lines))
    return str(path)


def values(ended, code=0):
    assert ended.code == code, ended.err
    return json.loads(ended.out)["values"]


def started(mpi, ranks, *argv, **variables):
    """Start the farm in the background."""
    script = str(ROOT / "scripts" / "on_ranks.py")
    return subprocess.Popen(
        [str(bin_directory(mpi) / "python"), script, str(ranks), *FARM, *argv],
        cwd=ROOT,
        env=clean_environment(**variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def running(marker):
    """Return the processes whose command line contains `marker`."""
    ended = subprocess.run(
        ["pgrep", "-f", marker], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in ended.stdout.split()]


def is_rank(pid):
    return rank_of(pid) >= 0


def rank_of(pid):
    """Return the rank that a launcher gave a process, or -1."""
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return -1
    variables = dict(entry.partition(b"=")[::2] for entry in content)
    names = (b"OMPI_COMM_WORLD_RANK", b"PMI_RANK")
    return next((int(variables[name]) for name in names if name in variables), -1)


def kill(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)

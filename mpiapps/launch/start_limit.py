"""A time limit of MPI_Init, in which no code of Python runs."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import LaunchError
from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.base.units import format_time, parse_time

LIMIT = "MPIAPPS_START_LIMIT"  # set by the user; 0: none
DEFAULT = "30m"  # the first rank in MPI_Init waits for the imports of the last
SHORTEST_SECONDS = 60  # of a job that starts close to its deadline
LATER_SECONDS = 10  # of the last rank after rank 0, so that one of them prints
# The pipe ends with this rank, however it ends. The rank is killed also if nobody reads
# the message.
WATCH = """
trap '' PIPE
timeout "$1" cat 2>/dev/null
[ "$?" -eq 124 ] || exit 0
printf '%s\\n' "$MPIAPPS_START_MESSAGE" >&2
kill -s KILL "$PPID"
"""


@contextmanager
def limited_start(
    launch: LaunchEnvironment, environ: Mapping[str, str]
) -> Iterator[None]:
    """Kill this process if the block takes longer than the limit. Local.

    The launcher's first and last rank are watched: MPI_Init waits for all ranks, and
    the one that does not start can be either of these. The limit is that of `LIMIT`, or
    the time to the deadline of the job script if that is shorter, but at least
    `SHORTEST_SECONDS`; that of the last rank is `LATER_SECONDS` longer.

    Raises
    ------
    LaunchError
        If a limit is not a time.

    Notes
    -----
    Cost: a shell process on two ranks, in a session of its own: signals to the ranks do
    not end it. It needs `timeout` of coreutils; without it there is no limit.
    """
    try:
        limit: float = parse_time(environ.get(LIMIT) or DEFAULT)
    except ValueError as error:
        raise LaunchError(f"{LIMIT}: {error}") from error
    if launch.rank not in (0, (launch.size or 1) - 1) or not limit:
        yield
        return
    remaining = max(SHORTEST_SECONDS, Deadline(environ=environ).remaining())
    seconds = int(min(limit, remaining)) + (LATER_SECONDS if launch.rank else 0)
    text = (
        f"mpiapps: error: rank {launch.rank} on {socket.gethostname()} was killed:"
        f" MPI_Init has not returned in {format_time(seconds)}. A rank has not started,"
        " or the launcher cannot connect the ranks; if it is srun, use mpiexec"
        f" (`--launcher mpiexec`). {LIMIT}=TIME sets the limit; 0: none"
    )
    command = ["/bin/sh", "-c", WATCH, "sh", str(seconds)]
    with ExitStack() as stack:
        with suppress(OSError):  # without a shell there is no limit
            watch = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "MPIAPPS_START_MESSAGE": text},
                start_new_session=True,
            )
            stack.enter_context(watch)
            # First, since a process that another thread has forked may hold the pipe.
            stack.callback(watch.kill)
        yield

"""Runs of the script of `victim.py` in a Dask cluster on ranks."""

import time
import uuid
from pathlib import Path

from tests.commands import marked, on_ranks

VICTIM = str(Path(__file__).with_name("victim.py"))
CLOSE_SECONDS = 10.0  # after which no process may be left


def run(mpi, size, ending, *args, **variables):
    """Run the victim; check that its processes end within `CLOSE_SECONDS`."""
    mark = f"mpiapps-test-{uuid.uuid4()}"
    workers = str(max(1, size - 1))
    done = on_ranks(mpi, size, "-m", "mpiapps.dask", "--memory", "400MB", *args,
                    VICTIM, ending, "a", "--b",
                    WORKERS=workers, DASK_MARK=mark, **variables)  # fmt: skip
    until = time.monotonic() + CLOSE_SECONDS
    while (left := marked(mark)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not left
    return done

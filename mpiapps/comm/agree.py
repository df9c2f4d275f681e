"""One rank's error becomes the same error on all ranks."""

from __future__ import annotations

import pickle
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from mpiapps.comm.mpi import MPI


@contextmanager
def agree(comm: MPI.Intracomm) -> Iterator[None]:
    """Raise on all ranks, after the ``with`` block, what one rank raised in it.

    Collective. The block does what may fail on one rank alone, such as reading a file
    on the root; it holds no collective call, which the failing rank would never reach.

    Raises
    ------
    Exception
        The exception of the lowest failing rank, on every rank, with the same type and
        message, and a note of where it was raised. What cannot be pickled arrives as
        `RuntimeError` with its text. `KeyboardInterrupt` and `SystemExit` are not
        agreed on: they leave at once.

    Notes
    -----
    Cost: one all-reduce of 8 bytes; after an error one broadcast of it.
    """
    mine: Exception | None = None
    try:
        yield
    except Exception as error:
        mine = error
    rank = np.array([comm.rank if mine else comm.size], dtype=np.int64)
    comm.Allreduce(MPI.IN_PLACE, rank, op=MPI.MIN)
    first = int(rank[0])
    if first == comm.size:
        return
    packed = comm.bcast(_pack(mine, comm) if first == comm.rank else None, root=first)
    if mine is not None and first == comm.rank:
        raise mine
    raise _unpack(*packed)


def _pack(error: Exception | None, comm: MPI.Intracomm) -> tuple[bytes, str, str]:
    where = f"raised on rank {comm.rank} of {comm.size} on {socket.gethostname()}"
    lines = "".join(traceback.format_exception(error)).rstrip()
    try:
        data = pickle.dumps(error)
        pickle.loads(data)  # an exception may pickle and yet not come back
    except Exception:
        data = b""
    return data, f"{type(error).__name__}: {error}", f"{where}:\n{lines}"


def _unpack(data: bytes, text: str, note: str) -> Exception:
    error: Exception = pickle.loads(data) if data else RuntimeError(text)
    error.add_note(note)
    return error

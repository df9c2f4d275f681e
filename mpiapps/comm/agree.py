"""What ranks must have in common: one rank's error, and the arguments of a call."""

from __future__ import annotations

import pickle
import socket
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from operator import index

import numpy as np

from mpiapps.base.forks import is_child
from mpiapps.comm.cut import as_bytes
from mpiapps.comm.mpi import MPI
from mpiapps.comm.packing import attempt, reason


class DisagreementError(TypeError, ValueError):
    """Ranks made different calls, or the same call with different arguments.

    Of a collective function, and raised on all its ranks.
    """


class Same:
    """What a block requires to be the same on all ranks. Local."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, tuple[object, ...]]] = []

    def __call__(self, call: str, *arguments: object) -> None:
        """Require that all ranks make `call` with the same `arguments`.

        Arguments are compared by their `repr`, arrays by dtype, shape and bytes.
        """
        self._calls.append((call, arguments))

    def __str__(self) -> str:
        """Return the calls as a message shows them."""
        texts = (
            f"{call}({', '.join(map(_text, arguments))})"
            for call, arguments in self._calls
        )
        return "; ".join(texts) or "agree()"


@contextmanager
def agree(comm: MPI.Intracomm) -> Iterator[Same]:
    """Raise on all ranks, after the ``with`` block, what one rank raised in it.

    Collective. The block does what may fail on one rank alone, such as reading a file
    on the root; it holds no collective call, which the failing rank would never reach.

    Yields
    ------
    Same
        Call it with what must be the same on all ranks: ``same("scatter", root)``.

    Raises
    ------
    DisagreementError
        On all ranks, if what was passed to `Same` differs, or another collective call
        of this package meets this one: names two ranks and what each of them called.
    Exception
        The exception of the lowest failing rank, on every rank, with the same type and
        message, and a note of where it was raised. What cannot be pickled arrives as
        `RuntimeError` with its text. `KeyboardInterrupt` and `SystemExit` are not
        agreed on: they leave at once.

    Notes
    -----
    Cost: one all-reduce of 24 bytes; after an error one broadcast of it.
    """
    mine: Exception | None = None
    same = Same()
    try:
        yield same
    except Exception as error:
        mine = error
    if is_child():  # it has nobody to agree with
        if mine is not None:
            raise mine
        return
    if comm.size == 1 and mine is None:
        return
    text = str(same)
    digest = int.from_bytes(blake2b(text.encode(), digest_size=7).digest())
    # All digests are the same if the least is the largest.
    found = np.array([comm.rank if mine else comm.size, digest, -digest], np.int64)
    comm.Allreduce(MPI.IN_PLACE, found, op=MPI.MIN)
    first, least, largest = found.tolist()
    if first == comm.size:
        if least != -largest:
            raise _disagreement(comm.allgather(text))
        return
    if mine is not None and first == comm.rank:
        comm.bcast(_pack(mine, comm), root=first)
        raise mine
    raise _unpack(*comm.bcast(None, root=first))


def checked_root(comm: MPI.Comm, root: int) -> int:
    """Return `root` if it is a rank of `comm`, else raise `ValueError`. Local."""
    rank = index(root)
    if not 0 <= rank < comm.size:
        raise ValueError(f"root {rank} must be a rank: 0 to {comm.size - 1}")
    return rank


def _text(argument: object) -> str:
    if not isinstance(argument, np.ndarray):
        return repr(argument)
    # A checksum suffices against accidents, and is three times as fast as a hash.
    checksum = zlib.crc32(as_bytes(np.ascontiguousarray(argument)).data)
    return f"ndarray({argument.dtype} {argument.shape}, crc {checksum:08x})"


def _disagreement(texts: list[str]) -> DisagreementError:
    other = next(rank for rank, text in enumerate(texts) if text != texts[0])
    return DisagreementError(
        f"the ranks disagree: rank 0 calls {texts[0]}, rank {other} calls"
        f" {texts[other]}; all ranks must make the same calls in the same order, with"
        " the same arguments"
    )


def _pack(error: Exception, comm: MPI.Intracomm) -> tuple[bytes, str, str]:
    where = f"raised on rank {comm.rank} of {comm.size} on {socket.gethostname()}"
    lines = "".join(traceback.format_exception(error)).rstrip()
    fine, data = attempt(_pickled, error)
    return data if fine else b"", reason(error), f"{where}:\n{lines}"


def _pickled(error: Exception) -> bytes:
    """Return an error pickled, or raise if it does not come back from that. Local."""
    data = pickle.dumps(error)
    pickle.loads(data)
    return data


def _unpack(data: bytes, text: str, note: str) -> Exception:
    error: Exception = pickle.loads(data) if data else RuntimeError(text)
    error.add_note(note)
    return error

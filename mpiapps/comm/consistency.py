"""Agreement of ranks: errors of one rank, and arguments of collective calls."""

from __future__ import annotations

import pickle
import socket
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from operator import index
from typing import TypeVar, cast

import numpy as np

from mpiapps.comm.chunking import as_bytes
from mpiapps.comm.pickling import attempt, reason
from mpiapps.launch.forks import is_child
from mpiapps.launch.mpi import MPI

T = TypeVar("T")


class DisagreementError(TypeError, ValueError):
    """Ranks made different collective calls, or passed different arguments.

    Raised by collective functions, on all ranks.
    """


class Same:
    """The calls and arguments that a block requires to be equal on all ranks. Local."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, tuple[object, ...]]] = []

    def __call__(self, call: str, *arguments: object) -> None:
        """Require that all ranks make `call` with the same `arguments`.

        Arguments are compared by their `repr`, arrays by dtype, shape and bytes.
        """
        self._calls.append((call, arguments))

    def __str__(self) -> str:
        """Return the calls for an error message."""
        texts = (
            f"{call}({', '.join(map(_text, arguments))})"
            for call, arguments in self._calls
        )
        return "; ".join(texts) or "agree()"


@contextmanager
def raise_together(comm: MPI.Intracomm) -> Iterator[Same]:
    """Raise an exception of one rank in the ``with`` block on all ranks, after it.

    Collective. The block contains code that may fail on one rank only, such as reading
    a file on the root, but no collective call, which a failing rank would not reach.

    Yields
    ------
    Same
        Call it with what must be equal on all ranks: ``same("scatter", root)``.

    Raises
    ------
    DisagreementError
        On all ranks, if the arguments of `Same` differ, or another rank makes another
        collective call of this package; the message has two ranks and their calls.
    Exception
        The exception of the lowest failing rank, on all ranks, with the same type and
        message, and a note with rank, host and traceback. One that cannot be pickled
        becomes a `RuntimeError` with its text. `KeyboardInterrupt` and `SystemExit`
        are raised at once, on their rank only.

    Notes
    -----
    Cost: one all-reduce of 24 bytes; after an error one broadcast of it.
    """
    own_error: Exception | None = None
    same, text = Same(), ""
    try:
        yield same
        if comm.size > 1:
            text = str(same)  # in here: an argument may not have a text
    except Exception as error:
        own_error = error
    if is_child():  # a forked child does not communicate
        if own_error is not None:
            raise own_error
        return
    if comm.size == 1 and own_error is None:
        return
    digest = int.from_bytes(blake2b(text.encode(), digest_size=7).digest())
    # The digests are equal if their minimum is their maximum.
    minima = np.array(
        [comm.rank if own_error else comm.size, digest, -digest], np.int64
    )
    comm.Allreduce(MPI.IN_PLACE, minima, op=MPI.MIN)
    first, smallest, negated_largest = minima.tolist()
    if first == comm.size:
        if smallest != -negated_largest:
            raise _disagreement(comm.allgather(text))
        return
    if own_error is not None and first == comm.rank:
        comm.bcast(_pack(own_error, comm), root=first)
        raise own_error
    raise _unpack(*comm.bcast(None, root=first))


def computed_on_root(comm: MPI.Intracomm, compute: Callable[[], T]) -> T:
    """Return what `compute` returns on rank 0, on every rank. Collective."""
    result = None
    with raise_together(comm):
        if comm.rank == 0:
            result = compute()
    return cast(T, comm.bcast(result))


def checked_root(comm: MPI.Comm, root: int) -> int:
    """Return `root` if it is a rank of `comm`, else raise `ValueError`. Local."""
    rank = index(root)
    if not 0 <= rank < comm.size:
        raise ValueError(f"root {rank} must be a rank: 0 to {comm.size - 1}")
    return rank


def _text(argument: object) -> str:
    if not isinstance(argument, np.ndarray):
        return repr(argument)
    # A checksum suffices, and is three times as fast as a hash.
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
    origin = f"raised on rank {comm.rank} of {comm.size} on {socket.gethostname()}"
    lines = "".join(traceback.format_exception(error)).rstrip()
    succeeded, data = attempt(_pickle, error)
    return data if succeeded else b"", reason(error), f"{origin}:\n{lines}"


def _pickle(error: Exception) -> bytes:
    """Return a pickled error, or raise if it cannot be unpickled."""
    data = pickle.dumps(error)
    pickle.loads(data)
    return data


def _unpack(data: bytes, text: str, note: str) -> Exception:
    error: Exception = pickle.loads(data) if data else RuntimeError(text)
    error.add_note(note)
    return error

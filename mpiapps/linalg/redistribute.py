"""Moving a matrix to another layout, or to its transposed place: the fewest bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.comm.cut import Array
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.grid import exchange
from mpiapps.linalg.layout import Layout


def redistribute(
    comm: MPI.Intracomm, local: Array, old: Layout, new: Layout, op: str = "N"
) -> Array:
    """Return this rank's part of a matrix under the `new` layout. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm
    local : ndarray, shape ``old.local_shape(comm.rank)``
    old, new : Layout
        The same on all ranks.
    op : {"N", "T", "H"}
        As it is, transposed, or conjugate transposed; `new` is then of that shape.

    Returns
    -------
    ndarray, shape ``new.local_shape(comm.rank)``, the same dtype
        `local` itself if it stays where it is.

    Notes
    -----
    Every element that changes its rank is sent once; a rank sends at most one message
    to each other (or one a GiB). Needs memory for what one pair of ranks exchanges.
    """
    if op == "N" and old == new:
        return local
    if op != "N":
        local, old = local.T, old.T
        local = local.conj() if op == "H" else local
    if old == new:
        return np.ascontiguousarray(local)
    result = np.empty(new.local_shape(comm.rank), local.dtype)
    for shift in range(comm.size):
        to, source = (comm.rank + shift) % comm.size, (comm.rank - shift) % comm.size
        mine, theirs = (
            _places(old, comm.rank, new, to),
            _places(new, comm.rank, old, source),
        )
        out = np.ascontiguousarray(local[mine])
        if shift == 0:
            result[theirs] = out
            continue
        into = np.empty(result[theirs].shape, result.dtype)
        exchange(comm, to, out, source, into)
        result[theirs] = into
    return result


def _places(here: Layout, rank: int, there: Layout, other: int) -> Any:
    """Return where `rank` of one layout keeps what `other` keeps in the other one."""
    mine, its = here.coords(rank), there.coords(other)
    if mine is None or its is None:
        return slice(0, 0), slice(0, 0)
    rows = here.rows.shared(mine[0], there.rows, its[0])
    cols = here.cols.shared(mine[1], there.cols, its[1])
    if isinstance(rows, np.ndarray) and isinstance(cols, np.ndarray):
        return np.ix_(rows, cols)
    return rows, cols

"""Eigenvalues and vectors of symmetric tridiagonal matrices: divide and conquer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.comm.partition import blocks
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.layout import Layout

COLUMNS = 512  # eigenvectors of the secular equation per product
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Eigensystem:
    """Eigenvalues, and this rank's rows of the eigenvectors, of a diagonal block.

    Attributes
    ----------
    values : ndarray of float64, ascending, on every rank of the block
    vectors : ndarray, rows x (order of the block)
    """

    values: Floats
    vectors: Array


def eigh_tridiagonal(
    comm: MPI.Intracomm, diagonal: Floats, off_diagonal: Floats, dtype: np.dtype[Any]
) -> Eigensystem:
    """Return eigenvalues and vectors of a real symmetric tridiagonal T. Collective.

    Parameters
    ----------
    diagonal, off_diagonal : ndarray of float64, shapes (n,) and (n - 1,)
        The same on all ranks.
    dtype : dtype
        Of the vectors: float32 or float64. They are distributed as rows, in
        ``Layout.blocks((n, n), (P, 1))``.

    Raises
    ------
    numpy.linalg.LinAlgError
        On all ranks, if LAPACK does not converge.

    Notes
    -----
    Cuppen's divide and conquer with deflation (Gu, Eisenstat, SIMAX 16 (1995); LAPACK's
    stedc). Each rank solves its diagonal block by LAPACK; then neighbouring blocks are
    merged, in log2(P) levels. Rows stay on their ranks: a merge of order k sends 2 k +
    3 k numbers, and multiplies this rank's rows by the vectors of the secular equation:
    at most ``n^3/P`` flops in the last merge.
    """
    axis = Layout.blocks((diagonal.size, diagonal.size), (comm.size, 1)).rows
    bounds = [min(axis.n, rank * axis.block) for rank in range(comm.size + 1)]
    diagonal = diagonal.copy()
    for cut in {cut for cut in bounds[1:-1] if 0 < cut < axis.n}:
        diagonal[cut - 1 : cut + 1] -= abs(off_diagonal[cut - 1])
    low, high = bounds[comm.rank : comm.rank + 2]
    with raise_together(comm):
        own = _leaf(diagonal[low:high], off_diagonal[low : high - 1], dtype)
    return _merged(comm, own, bounds, off_diagonal)


def _leaf(diagonal: Floats, off_diagonal: Floats, dtype: np.dtype[Any]) -> Eigensystem:
    """Return the eigensystem of one rank's block, by LAPACK. Local."""
    if diagonal.size < 2:
        return Eigensystem(diagonal, np.ones((diagonal.size, diagonal.size), dtype))
    from scipy.linalg import get_lapack_funcs

    stevd = get_lapack_funcs("stevd", dtype=dtype)
    values, vectors, info = stevd(diagonal.astype(dtype), off_diagonal.astype(dtype))
    if info:
        raise np.linalg.LinAlgError(
            f"the eigenvalues of a tridiagonal block did not converge (info {info})"
        )
    return Eigensystem(values.astype(float), np.ascontiguousarray(vectors))


def _merged(
    comm: MPI.Intracomm, own: Eigensystem, bounds: list[int], off_diagonal: Floats
) -> Eigensystem:
    """Return the eigensystem of the rows of all ranks of `comm`. Collective.

    The rows of rank r are ``bounds[r]`` to ``bounds[r + 1]``; `own` is of its rows.
    """
    if comm.size == 1:
        return own
    half = comm.size // 2
    in_first = comm.rank < half
    part = cast(MPI.Intracomm, comm.Split(0 if in_first else 1, comm.rank))
    rows = bounds[: half + 1] if in_first else bounds[half:]
    own = _merged(part, own, rows, off_diagonal)
    part.Free()
    begin, cut, end = bounds[0], bounds[half], bounds[-1]
    coupling = float(off_diagonal[cut - 1]) if begin < cut < end else 0.0
    # Each element is from one rank, zero on the others: the sum is exact.
    order, start = end - begin, 0 if in_first else cut - begin
    shared = np.zeros((2, order))
    span = slice(start, start + own.values.size)
    if comm.rank in (0, half):
        shared[0, span] = own.values
    row = (cut - 1 if in_first else cut) - bounds[comm.rank]
    if 0 <= row < len(own.vectors):
        shared[1, span] = own.vectors[row]
    comm.Allreduce(MPI.IN_PLACE, shared)
    shared[1, cut - begin :] *= np.sign(coupling)
    vectors = np.zeros((len(own.vectors), order), own.vectors.dtype)
    vectors[:, span] = own.vectors
    inside = np.zeros(order, bool)
    inside[span] = True
    merge = _Merge(shared[0], shared[1] / 2**0.5, 2 * abs(coupling), vectors, inside)
    return merge.solve(comm)


@dataclass
class _Merge:
    """The eigenproblem ``diag(d) + rho z z.T``, with vectors to be multiplied by its.

    Attributes
    ----------
    inside : ndarray of bool
        The columns of `vectors` that may have nonzero elements on this rank.
    """

    d: Floats
    z: Floats
    rho: float
    vectors: Array
    inside: npt.NDArray[np.bool_]

    def solve(self, comm: MPI.Intracomm) -> Eigensystem:
        """Return its eigensystem. Collective."""
        from mpiapps.kernels.secular import fill_vectors, find_roots, find_weights

        kept = self._deflate()
        d, z = self.d[kept], self.z[kept]
        shares = blocks(len(kept), comm.size)
        share = shares[comm.rank]
        origins, offsets = np.empty(len(share), np.int64), np.empty(len(share))
        weights = np.empty(len(share))
        if kept.size:
            find_roots(d, z * z, self.rho, share.start, origins, offsets)
        plan = BlockPlan(comm, [len(part) for part in shares], (2,))
        roots = plan.allgather(np.column_stack([origins, offsets]))
        origins, offsets = roots[:, 0].astype(np.int64), roots[:, 1].copy()
        find_weights(d, origins, offsets, share.start, weights)
        plan = BlockPlan(comm, plan.counts)
        weights = np.copysign(plan.allgather(weights), z)
        values = self.d.copy()
        bases = d[origins]
        values[kept] = bases + offsets
        order = np.argsort(values, kind="stable")
        place = np.argsort(order)  # of each column in ascending order
        result = np.empty_like(self.vectors)
        rest = np.setdiff1d(np.arange(values.size), kept)
        result[:, place[rest]] = self.vectors[:, rest]
        nonzero = np.flatnonzero(self.inside[kept])
        positions = np.full(kept.size, -1)
        positions[nonzero] = np.arange(nonzero.size)
        factor = self.vectors[:, kept[nonzero]]
        for left in range(0, kept.size, COLUMNS):
            cols = slice(left, left + COLUMNS)
            part = np.empty((nonzero.size, bases[cols].size), factor.dtype)
            fill_vectors(d, weights, bases[cols], offsets[cols], positions, part)
            result[:, place[kept[cols]]] = factor @ part
        return Eigensystem(values[order], result)

    def _deflate(self) -> npt.NDArray[np.int64]:
        """Rotate columns with almost equal d; return those that are coupled. Local.

        As LAPACK's laed2: the error is at most 8 eps of the largest element.
        """
        d, z, order = self.d, self.z, np.argsort(self.d, kind="stable")
        eps = float(np.finfo(self.vectors.dtype).eps)
        tolerance = 8 * eps * max(np.abs(d).max(initial=0), np.abs(z).max(initial=0))
        kept: list[int] = []
        for j in order[self.rho * np.abs(z[order]) > tolerance].tolist():
            if kept and self._rotate(kept[-1], j, tolerance):
                kept.pop()
            kept.append(j)
        return np.array(kept, np.int64)

    def _rotate(self, i: int, j: int, tolerance: float) -> bool:
        """Rotate columns i and j if z[i] is then zero within the tolerance. Local."""
        d, z = self.d, self.z
        size = np.hypot(z[i], z[j])
        c, s = z[j] / size, -z[i] / size
        if abs((d[j] - d[i]) * c * s) > tolerance:
            return False
        d[i], d[j] = d[i] * c * c + d[j] * s * s, d[i] * s * s + d[j] * c * c
        z[i], z[j] = 0, size
        first, second = self.vectors[:, i].copy(), self.vectors[:, j]
        self.vectors[:, i] = c * first + s * second
        self.vectors[:, j] = c * second - s * first
        self.inside[[i, j]] = self.inside[i] or self.inside[j]
        return True

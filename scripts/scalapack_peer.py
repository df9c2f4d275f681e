"""ScaLAPACK through ctypes: the reference of bench_matrix.py for `mpiapps.linalg`.

usage, on ranks: scalapack_peer.py debian|mkl OPERATION M N K BLOCK REPEATS
OPERATION is multiply, cholesky or solve.

Rank 0 prints the seconds of each repeat as JSON.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from ctypes import byref, c_double, c_int

import numpy as np
from mpi4py import MPI

# MKL's libraries depend on each other, so bench_matrix.py preloads all of them.
LIBRARIES = {"debian": "libscalapack-openmpi.so.2.2", "mkl": None}


class ScaLAPACK:
    """ScaLAPACK on a process grid of all ranks."""

    def __init__(self, which: str) -> None:
        """Load the library and create the grid."""
        self.library = ctypes.CDLL(LIBRARIES[which], ctypes.RTLD_GLOBAL)
        self.blacs = ctypes.CDLL(None)
        self.context = c_int()
        self.blacs.Cblacs_get(-1, 0, byref(self.context))
        self.size = MPI.COMM_WORLD.size
        self.rows = max(
            p
            for p in range(1, self.size + 1)
            if self.size % p == 0 and p * p <= self.size
        )
        self.cols = self.size // self.rows
        self.blacs.Cblacs_gridinit(byref(self.context), b"Row", self.rows, self.cols)
        self.i, self.j = divmod(MPI.COMM_WORLD.rank, self.cols)

    def matrix(
        self, m: int, n: int, block: int, *, heavy: bool = False
    ) -> tuple[np.ndarray, object]:
        """Return a local block of random numbers and its descriptor."""
        rows = self._count(m, block, self.i, self.rows)
        cols = self._count(n, block, self.j, self.cols)
        rng = np.random.default_rng(MPI.COMM_WORLD.rank)
        local = np.asfortranarray(rng.random((rows, cols)) - 0.5)
        if heavy:  # a diagonal that makes it positive definite
            i = self._indices(rows, block, self.i, self.rows)
            j = self._indices(cols, block, self.j, self.cols)
            local += (i[:, None] == j) * float(n)
        descriptor = (c_int * 9)()
        info = c_int()
        numbers = [c_int(x) for x in (m, n, block, block, 0, 0)]
        lead = c_int(max(1, rows))
        self.library.descinit_(
            descriptor,
            *map(byref, numbers),
            byref(self.context),
            byref(lead),
            byref(info),
        )
        assert info.value == 0
        return local, descriptor

    @staticmethod
    def _count(n: int, block: int, coord: int, procs: int) -> int:
        return sum(
            min(block, n - start) for start in range(coord * block, n, block * procs)
        )

    @staticmethod
    def _indices(count: int, block: int, coord: int, procs: int) -> np.ndarray:
        local = np.arange(count)
        return (local // block * procs + coord) * block + local % block


def timed(sca: ScaLAPACK, operation: str, sizes_of: list[int], block: int) -> float:
    """Return the time of one operation in seconds, without the setup."""
    m, n, k = sizes_of
    one, zero, first, info = c_double(1), c_double(0), c_int(1), c_int()
    at = (byref(first), byref(first))
    sizes = [byref(c_int(x)) for x in (m, n, k)]

    def data(local: np.ndarray) -> ctypes.c_void_p:
        return local.ctypes.data_as(ctypes.c_void_p)

    a, da = sca.matrix(
        m, k if operation == "multiply" else m, block, heavy=operation == "cholesky"
    )
    b, db = sca.matrix(*((k, n) if operation == "multiply" else (m, n)), block)
    c, dc = sca.matrix(m, n, block) if operation == "multiply" else (b, db)
    pivots = (c_int * (a.shape[0] + block))()
    MPI.COMM_WORLD.Barrier()
    start = time.perf_counter()
    if operation == "multiply":
        sca.library.pdgemm_(
            *(b"N", b"N", *sizes, byref(one), data(a), *at, da, data(b), *at, db),
            *(byref(zero), data(c), *at, dc),
        )
    elif operation == "cholesky":
        sca.library.pdpotrf_(b"L", sizes[0], data(a), *at, da, byref(info))
    else:
        sca.library.pdgesv_(
            *(sizes[0], sizes[1], data(a), *at, da, pivots, data(b), *at, db),
            byref(info),
        )
    MPI.COMM_WORLD.Barrier()
    assert info.value == 0
    return time.perf_counter() - start


if __name__ == "__main__":
    which, operation = sys.argv[1:3]
    m, n, k, block, repeats = map(int, sys.argv[3:])
    library = ScaLAPACK(which)
    found = [timed(library, operation, [m, n, k], block) for _ in range(repeats)]
    if MPI.COMM_WORLD.rank == 0:
        print(json.dumps(found))

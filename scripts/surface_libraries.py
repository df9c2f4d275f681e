"""The libraries that the surface compares: how each computes its operations."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Operations = dict[str, Callable[..., Any]]

# Arrays and matrices alike.
COMMON: Operations = {
    "multiply": operator.matmul,
    "matvec": operator.matmul,
    # operator.add, called with arrays of which a tuple holds the only reference, takes
    # the first for a temporary one: NumPy 2.4 writes the sum into it.
    "A + B": lambda a, b: a + b,
    "2 A": lambda a: 2 * a,
    "exp": np.exp,
    "transpose": lambda a: a.T.copy(),
    "sum": np.sum,
    "sums of columns": lambda a: np.sum(a, axis=0),
    "sums of rows": lambda a: np.sum(a, axis=1),
    "stds of columns": lambda a: np.std(a, axis=0),
    "norm": np.linalg.norm,
    "norm 1": lambda a: np.linalg.norm(a, 1),
    "norm inf": lambda a: np.linalg.norm(a, np.inf),
    "cholesky": np.linalg.cholesky,
    "solve": np.linalg.solve,
    "inverse": np.linalg.inv,
}


@dataclass(frozen=True)
class Library:
    """What differs between the libraries.

    `random` returns a matrix of a shape, dtype and layout, `dominant` one with a large
    diagonal, and `positive` a positive definite one.
    """

    random: Callable[..., Any]
    operations: Operations
    rank: int = 0
    size: int = 1
    barrier: Callable[[], object] = lambda: None
    bcast: Callable[[Any], Any] = lambda value: value
    dominant: Callable[[Any], Any] = lambda a: a
    positive: Callable[[Any], Any] = lambda a: a


def numpy_library() -> Library:
    """Return NumPy and SciPy; the number of threads is in the environment."""
    from scipy.linalg import lu_factor, solve_triangular
    from scipy.linalg.lapack import get_lapack_funcs

    def random(shape: tuple[int, int], dtype: str, _: str) -> Any:
        return (np.random.default_rng(0).random(shape) * 2 - 1).astype(dtype)

    def dominant(a: Any) -> Any:
        return a + a.shape[0] * np.eye(a.shape[0], dtype=a.dtype)

    def condition(a: Any) -> Any:
        getrf, gecon = get_lapack_funcs(("getrf", "gecon"), (a,))
        return gecon(getrf(a)[0], np.linalg.norm(a, 1))

    def write(path: Path, a: Any) -> None:
        part = path.with_suffix(".part")
        with part.open("wb") as stream:
            np.save(stream, a)
            stream.flush()
            os.fsync(stream.fileno())  # as the others
        part.replace(path)

    def zeros(shape: tuple[int, int], dtype: str, _: str) -> Any:
        return np.full(shape, 0, dtype)

    own: Operations = {
        "zeros": zeros,
        "random": random,
        "redistribute": np.copy,
        "gram": lambda a: a.conj().T @ a,
        "A.T B": lambda a, b: a.T @ b,
        "lu": lu_factor,
        "triangular": lambda a, b: solve_triangular(a, b, lower=True),
        "condition": condition,
        "qr": np.linalg.qr,
        "svd values": lambda a: np.linalg.svd(a, compute_uv=False),
        "eigh": np.linalg.eigh,
        "eigvalsh": np.linalg.eigvalsh,
        "write": write,
        "read": np.load,
    }
    return Library(
        random,
        COMMON | own,
        dominant=dominant,
        positive=lambda a: dominant(a.conj().T @ a),
    )


def own_library() -> Library:
    """Return mpiapps.linalg. Collective."""
    from mpiapps.launch.mpi import MPI
    from mpiapps.linalg import (
        condition,
        eigh,
        lu,
        multiply,
        npy,
        svd,
        trsm,
        tsqr,
    )
    from mpiapps.linalg.distmatrix import DistMatrix
    from mpiapps.linalg.layout import Layout
    from mpiapps.linalg.operations import load_algorithms

    comm = MPI.COMM_WORLD
    grids = {"rows": (comm.size, 1), "columns": (1, comm.size)}

    def layout_of(shape: tuple[int, int], name: str) -> Layout | None:
        if name == "cyclic":
            return Layout.cyclic(shape, comm.size)
        return Layout.blocks(shape, grids[name]) if name in grids else None

    def random(shape: tuple[int, int], dtype: str, layout: str) -> Any:
        return DistMatrix.random(comm, shape, 0, dtype, layout_of(shape, layout))

    def zeros(shape: tuple[int, int], dtype: str, layout: str) -> Any:
        result = DistMatrix.zeros(comm, shape, dtype, layout_of(shape, layout))
        result.local.fill(0)  # np.zeros leaves the memory for later
        return result

    def dominant(a: DistMatrix) -> DistMatrix:
        a.local[a.row_indices[:, None] == a.col_indices] += a.shape[0]
        return a

    def redistribute(a: DistMatrix) -> DistMatrix:
        by_rows = a.layout.grid[1] == 1
        return a.redistribute(
            Layout.blocks(a.shape, grids["columns" if by_rows else "rows"])
        )

    own: Operations = {
        "zeros": zeros,
        "random": random,
        "redistribute": redistribute,
        "gram": multiply.gram,
        "A.T B": lambda a, b: multiply.multiply(a, b, op_a="T"),
        "lu": lu.lu,
        "triangular": trsm.solve_triangular,
        "condition": condition.condition,
        "qr": tsqr.qr,
        "svd values": svd.singular_values,
        "eigh": eigh.eigh,
        "eigvalsh": eigh.eigvalsh,
        "write": npy.write_npy,
        "read": lambda path: npy.read_npy(comm, path),
    }
    load_algorithms()
    return Library(
        random,
        COMMON | own,
        comm.rank,
        comm.size,
        comm.Barrier,
        comm.bcast,
        dominant,
        lambda a: dominant(multiply.gram(a)),
    )


def heat_library() -> Library:
    """Return HeAT: arrays of PyTorch, distributed along one axis. Collective."""
    import heat as ht
    import torch

    torch.set_num_threads(1)
    dtypes = {"f4": ht.float32, "f8": ht.float64}

    def split(shape: tuple[int, int], layout: str) -> int:
        return {"rows": 0, "columns": 1}.get(layout, int(shape[1] > shape[0]))

    def random(shape: tuple[int, int], dtype: str, layout: str) -> Any:
        where = split(shape, layout)
        return ht.random.rand(*shape, dtype=dtypes[dtype], split=where) * 2 - 1

    def zeros(shape: tuple[int, int], dtype: str, layout: str) -> Any:
        return ht.zeros(shape, dtype=dtypes[dtype], split=split(shape, layout))

    def matvec(a: Any, x: Any) -> Any:
        return ht.matmul(a, ht.array(x, dtype=a.dtype))

    own: Operations = {
        "zeros": zeros,
        "random": random,
        "redistribute": lambda a: ht.resplit(a, 1 - a.split),
        "multiply": ht.matmul,
        "matvec": matvec,
        "exp": ht.exp,
        "sum": ht.sum,
        "sums of columns": lambda a: ht.sum(a, axis=0),
        "sums of rows": lambda a: ht.sum(a, axis=1),
        "gram": lambda a: ht.matmul(ht.transpose(a), a),
        "A.T B": lambda a, b: ht.matmul(ht.transpose(a), b),
        "stds of columns": lambda a: ht.std(a, axis=0),
        "norm": ht.linalg.norm,
        "qr": ht.linalg.qr,
        "inverse": ht.linalg.inv,
    }
    common = {name: COMMON[name] for name in ("A + B", "2 A")}
    comm = ht.MPI.COMM_WORLD
    return Library(random, common | own, comm.rank, comm.size, comm.Barrier, comm.bcast)


LIBRARIES = {"ours": own_library, "numpy": numpy_library, "heat": heat_library}

"""Distributed gemm, ``C = alpha op(A) op(B) + beta C``, and Gram matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.device.arrays import array_module, like
from mpiapps.kernels.blas import add_product, set_gram
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import operands
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.element_moves import own_part
from mpiapps.linalg.grid import grid_of
from mpiapps.linalg.grid_choice import Grid
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_operands import of_matrix
from mpiapps.linalg.product_choice import (
    REPLICATE_BOTH,
    SUM,
    SUMMA,
    Choice,
    Product,
    choose_product,
)
from mpiapps.linalg.redistribute import redistribute, replicate
from mpiapps.linalg.summa import multiply_on, reduce_scatter

OPS = ("N", "T", "H")


@dataclass(frozen=True)
class Operand:
    """``op(matrix)``, not computed: BLAS transposes and conjugates."""

    matrix: DistMatrix
    op: str

    @property
    def layout(self) -> Layout:
        """The layout of the transposed or unchanged matrix."""
        layout = self.matrix.layout
        return layout if self.op == "N" else layout.T

    def in_layout(self, layout: Layout, dtype: np.dtype[Any]) -> Array:
        """Return the local block, before the op, if op(matrix) is in `layout`."""
        matrix, stored = self.matrix, layout if self.op == "N" else layout.T
        local = redistribute(matrix.comm, matrix.local, matrix.layout, stored)
        return local.astype(dtype, copy=False)

    def replicated(self, dtype: np.dtype[Any]) -> Array:
        """Return the whole matrix, before the op, on every rank. Collective."""
        matrix = self.matrix
        whole = replicate(matrix.comm, matrix.local, matrix.layout)
        return whole.astype(dtype, copy=False)


@of_matrix
def multiply(  # noqa: PLR0913 - the arguments of PBLAS gemm
    a: DistMatrix,
    b: DistMatrix,
    c: DistMatrix | None = None,
    *,
    alpha: complex = 1.0,
    beta: complex = 1.0,
    op_a: str = "N",
    op_b: str = "N",
    grid: Grid | None = None,
) -> DistMatrix:
    """Return ``alpha op(A) op(B)``, plus ``beta C`` if C is given. Collective.

    Parameters
    ----------
    a, b : DistMatrix
        On one communicator, in any layouts; op(A) is m x k, op(B) is k x n.
    c : DistMatrix, optional
        m x n, not changed; the result has its layout.
    alpha, beta : number
        A complex factor makes the result complex; the precision does not change. The
        same on all ranks, as the other arguments.
    op_a, op_b : {"N", "T", "H"}
        Unchanged, transposed, conjugate transposed.
    grid : Grid, optional
        Multiply by SUMMA on this grid. Default: the algorithm of least estimated time,
        `product_choice.choose_product`.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if shapes or communicators do not match, a factor is not a
        number, or the arguments differ between ranks.

    Notes
    -----
    A and B are redistributed to the layouts of the algorithm if necessary, each element
    sent at most once. The product then costs what `Choice.cost` estimates. The order of
    summation depends only on the layouts: the same bits in every run.

    Of matrices on devices (`DistMatrix.to_device`), local products are on the devices.
    The algorithm is chosen by the speed of processors; see docs/gpu-matrix.md.
    """
    with raise_together(a.comm) as same:
        alpha, beta = operands.number(alpha, "alpha"), operands.number(beta, "beta")
        same("multiply", a, b, c, alpha, beta, op_a, op_b, grid)
        _check(a, b, c, op_a, op_b)
        if grid is not None and not 1 <= grid.size <= a.comm.size:
            raise ValueError(
                f"{grid} needs {grid.size} ranks; the communicator has {a.comm.size}"
            )
        dtype = np.result_type(a.dtype, b.dtype, alpha)
    result = _product(Operand(a, op_a), Operand(b, op_b), dtype, alpha, grid)
    if c is None:
        return result
    result = result.redistribute(c.layout)
    return result + c * beta if beta != 0 else result


@of_matrix
def gram(a: DistMatrix) -> DistMatrix:
    """Return ``A.H A``, exactly Hermitian. Collective.

    Cost: half the flops of a product if C fits on one rank, which then has its terms of
    all of C; they are added in rank order. Else a product and one redistribution of C.
    """
    with raise_together(a.comm) as same:
        same("gram", a)
        refuse_masks("gram", a.dtype)
    (k, n), comm = a.shape, a.comm
    left, right = Operand(a, "H"), Operand(a, "N")
    sizes = n, n, k, comm.size, a.dtype.itemsize
    choice = choose_product(Product(*sizes, a=left.layout, b=right.layout, gram=True))
    if choice.algorithm == SUMMA:
        return _hermitian(_execute(choice, left, right, a.dtype, 1.0))
    local, (_, right_layout, layout) = a.local, choice.layouts
    if choice.algorithm == SUM:
        local = redistribute(comm, local, a.layout, right_layout)
    else:
        local = replicate(comm, local, a.layout)
    whole = array_module(local).empty((n, n), a.dtype)
    if comm.rank in layout.ranks:
        set_gram(whole, local)
    if choice.algorithm == SUM:
        block = _sum_terms(comm, whole, choice)
    else:
        block = whole[own_part(layout, comm.rank)]
    return DistMatrix(comm, layout, block, agreed=True)


def _check(
    a: DistMatrix, b: DistMatrix, c: DistMatrix | None, op_a: str, op_b: str
) -> None:
    """Raise `TypeError` or `ValueError` if the operands do not match. Local."""
    for op in (op_a, op_b):
        if op not in OPS:
            raise ValueError(f"op {op!r} is not one of {', '.join(OPS)}")
    for other in (b, c):
        if other is not None and not isinstance(other, DistMatrix):
            raise TypeError(
                f"{type(other).__name__} is not a DistMatrix; create one with"
                " DistMatrix.from_all or from_root, or use A @ x"
            )
        if other is not None:
            a.check_comm(other)
            operands.check_memory(a, other)
    refuse_masks("a product", a.dtype, b.dtype)
    m, k = a.shape if op_a == "N" else a.shape[::-1]
    kb, n = b.shape if op_b == "N" else b.shape[::-1]
    if k != kb:
        raise ValueError(
            f"cannot multiply {m} x {k} by {kb} x {n}: {k} columns, but {kb} rows"
        )
    if c is not None and c.shape != (m, n):
        raise ValueError(f"C has shape {c.shape}; expected {(m, n)}")


def _product(
    a: Operand, b: Operand, dtype: np.dtype[Any], alpha: complex, grid: Grid | None
) -> DistMatrix:
    """Return ``alpha op(A) op(B)`` by the cheapest algorithm, or on `grid`."""
    (m, k), n, size = a.layout.shape, b.layout.shape[1], a.matrix.comm.size
    if grid is None:
        sizes = m, n, k, size, dtype.itemsize
        choice = choose_product(Product(*sizes, a=a.layout, b=b.layout))
    else:
        choice = Choice(SUMMA, grid, grid.layouts(m, n, k))
    return _execute(choice, a, b, dtype, alpha)


def _execute(
    choice: Choice, a: Operand, b: Operand, dtype: np.dtype[Any], alpha: complex
) -> DistMatrix:
    comm, (la, lb, lc) = a.matrix.comm, choice.layouts
    if choice.algorithm == SUMMA:
        parts = _transformed(a, la, dtype), _transformed(b, lb, dtype)
        local = multiply_on(comm, choice.grid, choice.layouts, parts, alpha)
        return DistMatrix(comm, lc, local, agreed=True)
    left, right = (
        x.replicated(dtype) if whole else x.in_layout(layout, dtype)
        for x, whole, layout in zip((a, b), choice.replicated, (la, lb), strict=True)
    )
    if choice.algorithm == REPLICATE_BOTH:
        rows, cols = own_part(lc, comm.rank)
        left = left[rows] if a.op == "N" else left[:, rows]
        right = right[:, cols] if b.op == "N" else right[cols]
    if comm.rank not in lc.ranks:
        m, n = 0, 0
    else:
        m, n = left.shape[a.op != "N"], right.shape[b.op == "N"]
    local = array_module(left).empty((m, n), dtype)
    if local.size:
        add_product(local, left, right, alpha, b.op, op_a=a.op, overwrite=True)
    if choice.algorithm == SUM:
        local = _sum_terms(comm, local, choice)
    return DistMatrix(comm, lc, local, agreed=True)


def _transformed(x: Operand, layout: Layout, dtype: np.dtype[Any]) -> Array:
    """Return the local block of op(X) in `layout`. Collective."""
    matrix = x.matrix
    local = redistribute(matrix.comm, matrix.local, matrix.layout, layout, x.op)
    return local.astype(dtype, copy=False)


def _sum_terms(comm: MPI.Intracomm, local: Array, choice: Choice) -> Array:
    """Return this rank's rows of the sum of the terms of all ranks. Collective."""
    la, _, lc = choice.layouts
    fibre = grid_of(comm, la).row
    if comm.rank not in la.ranks:
        none: Array = array_module(local).empty(lc.local_shape(comm.rank), local.dtype)
        return none
    return reduce_scatter(fibre, local, Axis(lc.rows.n, lc.rows.block, fibre.size))


def _hermitian(c: DistMatrix) -> DistMatrix:
    """Return C with its lower triangle replaced by the upper one. Collective."""
    i, j = like(c.local, c.row_indices)[:, None], like(c.local, c.col_indices)[None, :]
    adjoint = redistribute(c.comm, c.local, c.layout, c.layout, "H")
    module = array_module(c.local)
    module.copyto(c.local, adjoint, where=i > j)
    module.copyto(c.local, c.local.real, where=i == j)
    return c

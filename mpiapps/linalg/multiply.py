"""Distributed gemm, ``C = alpha op(A) op(B) + beta C``, by SUMMA on a 3-D grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.kernels.blas import add_product
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import operands
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import refuse_masks
from mpiapps.linalg.grid import exchange, grid_of
from mpiapps.linalg.grid_choice import Grid, choose_grid
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.panel_bcast import PanelTransport, panel_transport
from mpiapps.linalg.redistribute import redistribute
from mpiapps.linalg.schedule import WIDTH, GridPosition, Step, product, summa

OPS = ("N", "T", "H")
Sizes = tuple[int, int, int]


@dataclass(frozen=True)
class ProductPlan:
    """Parameters of a product."""

    dtype: np.dtype[Any]
    alpha: complex
    op_a: str
    op_b: str


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
        Default: the result of `choose_grid`, or the current grid of A and B if that is
        as cheap.

    Raises
    ------
    TypeError, ValueError
        On all ranks, if shapes or communicators do not match, a factor is not a
        number, or the arguments differ between ranks.

    Notes
    -----
    A and B are redistributed to the layouts of the grid if necessary, each element
    sent at most once. The product then costs `Grid.received_elements`. The order of
    summation depends only on the grid: the same bits in every run.
    """
    with raise_together(a.comm) as same:
        alpha, beta = operands.number(alpha, "alpha"), operands.number(beta, "beta")
        same("multiply", a, b, c, alpha, beta, op_a, op_b, grid)
        m, n, k = _sizes(a, b, c, op_a, op_b)
        if grid is not None and not 1 <= grid.size <= a.comm.size:
            raise ValueError(
                f"{grid} needs {grid.size} ranks; the communicator has {a.comm.size}"
            )
        plan = ProductPlan(np.result_type(a.dtype, b.dtype, alpha), alpha, op_a, op_b)
    plain = op_a == op_b == "N" and grid is None
    if plain and _grid_is_good(a, b, m, n, k):
        layout = Layout(a.layout.rows, b.layout.cols, a.layout.ranks)
        local = np.zeros(layout.local_shape(a.comm.rank), plan.dtype)
        result = _multiply_in_place(a, b, local, alpha)
    else:
        grid = grid or choose_grid(m, n, k, a.comm.size, plan.dtype.itemsize)
        result = _multiply_on(a, b, grid, (m, n, k), plan)
    if c is None:
        return result
    result = result.redistribute(c.layout)
    return result + c * beta if beta != 0 else result


def gram(a: DistMatrix) -> DistMatrix:
    """Return ``A.H A``, exactly Hermitian. Collective; as `multiply`."""
    result = multiply(a, a, op_a="H")
    i, j = result.row_indices[:, None], result.col_indices[None, :]
    above = result.map(lambda local: np.where(i < j, local, 0))
    on = result.map(lambda local: np.where(i == j, local.real, 0).astype(local.dtype))
    return above + on + above.H


def _sizes(
    a: DistMatrix, b: DistMatrix, c: DistMatrix | None, op_a: str, op_b: str
) -> tuple[int, int, int]:
    for op in (op_a, op_b):
        if op not in OPS:
            raise ValueError(f"op {op!r} is not one of {', '.join(OPS)}")
    for other in (b, c):
        if other is not None and not isinstance(other, DistMatrix):
            raise TypeError(
                f"{type(other).__name__} is not a DistMatrix; create one with"
                " DistMatrix.from_all or from_root, or use A @ x"
            )
        if other is not None and other.comm != a.comm:
            raise ValueError(
                "the matrices are on different communicators; expected one"
            )
    refuse_masks("a product", a.dtype, b.dtype)
    m, k = a.shape if op_a == "N" else a.shape[::-1]
    kb, n = b.shape if op_b == "N" else b.shape[::-1]
    if k != kb:
        raise ValueError(
            f"cannot multiply {m} x {k} by {kb} x {n}: {k} columns, but {kb} rows"
        )
    if c is not None and c.shape != (m, n):
        raise ValueError(f"C has shape {c.shape}; expected {(m, n)}")
    return m, n, k


def _grid_is_good(a: DistMatrix, b: DistMatrix, m: int, n: int, k: int) -> bool:
    """Return whether the common grid of A and B is cheaper than redistribution."""
    if a.layout.grid != b.layout.grid or a.layout.ranks != b.layout.ranks:
        return False
    current = Grid(*a.layout.grid)
    if a.layout.ranks != tuple(range(current.size)):
        return False
    best = choose_grid(m, n, k, a.comm.size, a.dtype.itemsize)
    moved = (m * k + k * n) / a.comm.size
    return current.received_elements(m, n, k) <= best.received_elements(m, n, k) + moved


def _multiply_in_place(
    a: DistMatrix, b: DistMatrix, local: Array, alpha: complex
) -> DistMatrix:
    layout = Layout(a.layout.rows, b.layout.cols, a.layout.ranks)
    grid = grid_of(a.comm, layout)
    if grid.coords is not None:
        position = GridPosition(*grid.coords, *layout.grid, *local.shape)
        axes = a.layout.cols, b.layout.rows
        steps = summa(*axes, range(axes[0].n), position)
        comms: dict[str, MPI.Intracomm] = {"row": grid.row, "col": grid.col}
        run(steps, comms, (a.local, b.local), axes, local, alpha)
    return DistMatrix(a.comm, layout, local, agreed=True)


def _multiply_on(
    a: DistMatrix, b: DistMatrix, grid: Grid, sizes: Sizes, plan: ProductPlan
) -> DistMatrix:
    comm, layouts = a.comm, grid.layouts(*sizes)
    la, lb, lc = layouts
    parts = (
        redistribute(comm, a.local, a.layout, la, plan.op_a),
        redistribute(comm, b.local, b.layout, lb, plan.op_b),
    )
    comms = {"row": grid_of(comm, lb).row, "col": grid_of(comm, la).col}
    fibre = grid_of(comm, grid.fibre_layout()).row
    i, j = divmod(comm.rank % (grid.pm * grid.pn), grid.pn)
    inside = comm.rank < grid.size
    shape = (la.rows.count(i), lb.cols.count(j)) if inside else (0, 0)
    steps = product(grid, layouts, comm.rank)
    local = np.zeros(shape, plan.dtype)
    run(steps, comms, parts, (la.cols, lb.rows), local, plan.alpha)
    if inside and grid.pk > 1:
        local = _reduce_scatter(fibre, local, Axis(shape[0], lc.rows.block, grid.pk))
    return DistMatrix(comm, lc, local, agreed=True)


def run(  # noqa: PLR0913, PLR0917 - independent operands, of this call alone
    panels: Iterable[list[Step]],
    comms: Mapping[str, MPI.Intracomm],
    parts: tuple[Array, Array],
    axes: tuple[Axis, Axis],
    out: Array,
    alpha: complex,
) -> None:
    """Execute a schedule up to its sum; add the product to `out`. Collective.

    Look-ahead: the transfer of a panel starts before the previous product.
    """
    pending = None
    a, b = (part.astype(out.dtype, copy=False) for part in parts)
    k = axes[0].n
    sides = {"row": (comms["row"], len(a)), "col": (comms["col"], b.shape[1])}
    transports = {
        name: panel_transport(comm, out.dtype, min(WIDTH, k) * length, k * length)
        for name, (comm, length) in sides.items()
        if comm != MPI.COMM_NULL
    }
    for number, steps in enumerate(panels):
        if steps[0].op == "sum":
            break
        panel = _SummaPanel(number, steps, comms, (a, b), axes, transports)
        if pending is not None:
            pending.multiply(out, alpha)
        pending = panel
    if pending is not None:
        pending.multiply(out, alpha)


class _SummaPanel:
    """A panel of columns of A and rows of B, and its transfer to this rank."""

    def __init__(  # noqa: PLR0913, PLR0917 - the operands of `run` and the panel's own
        self,
        number: int,
        steps: list[Step],
        comms: Mapping[str, MPI.Intracomm],
        parts: tuple[Array, Array],
        axes: tuple[Axis, Axis],
        transports: Mapping[str, PanelTransport],
    ) -> None:
        """Start the transfer. Collective; not needed along a dimension of one rank."""
        whole, (a, b) = steps[-1].k, parts
        self._requests: list[MPI.Request] = []
        self._transports = transports
        self._a = [_local_rows(a.T, axes[0], whole).T]
        self._b = _local_rows(b, axes[1], whole)
        m, n = a.shape[0], b.shape[1]
        if comms["row"].size > 1:  # m x k blocks, one per owner
            flat = transports["row"].get_buffer(number, m * len(whole))
            own = [step for step in steps if step.comm == "row"]
            self._a = [_block(flat, m, _within(step.k, whole)) for step in own]
            for step, part in zip(own, self._a, strict=True):
                if comms["row"].rank == step.root:
                    part[...] = _local_rows(a.T, axes[0], step.k).T
            self._begin("row", own, self._a)
        if comms["col"].size > 1:
            self._b = transports["col"].get_buffer(number, len(whole), n)
            own = [step for step in steps if step.comm == "col"]
            rows = [self._b[_within(step.k, whole)] for step in own]
            for step, part in zip(own, rows, strict=True):
                if comms["col"].rank == step.root:
                    part[...] = _local_rows(b, axes[1], step.k)
            self._begin("col", own, rows)

    def _begin(self, name: str, steps: list[Step], parts: list[Array]) -> None:
        owned = [(part, step.root) for part, step in zip(parts, steps, strict=True)]
        self._requests += self._transports[name].start(owned)

    def multiply(self, out: Array, alpha: complex) -> None:
        """Wait for the panel and add its product to `out`. Local."""
        MPI.Request.Waitall(self._requests)
        for transport in self._transports.values():
            transport.complete()
        a = self._a[0] if len(self._a) == 1 else np.hstack(self._a)
        add_product(out, a, self._b, alpha)


def _block(flat: Array, m: int, k: slice) -> Array:
    """Return columns `k` of a panel of m rows as a contiguous block. Local."""
    return flat[m * k.start : m * k.stop].reshape(m, k.stop - k.start)


def _within(k: range, whole: range) -> slice:
    return slice(k.start - whole.start, k.stop - whole.start)


def _local_rows(local: Array, axis: Axis, k: range) -> Array:
    """Return the rows of `local` with the global indices `k`, in one block. Local."""
    first = axis.local(k.start)
    return local[first : first + len(k)]


def _reduce_scatter(fibre: MPI.Comm, local: Array, rows: Axis) -> Array:
    """Return this rank's rows of the sum over the layers, in rank order. Collective."""
    own = next(rows.runs(fibre.rank), range(0))
    blocks = np.empty((fibre.size, len(own), local.shape[1]), local.dtype)
    blocks[fibre.rank] = local[own.start : own.stop]
    for shift in range(1, fibre.size):
        to = (fibre.rank + shift) % fibre.size
        source = (fibre.rank - shift) % fibre.size
        other = next(rows.runs(to), range(0))
        exchange(fibre, to, local[other.start : other.stop], source, blocks[source])
    total: Array = blocks[0]
    for part in blocks[1:]:
        total += part
    return total

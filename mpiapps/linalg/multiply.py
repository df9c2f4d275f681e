"""``C = alpha op(A) op(B) + beta C`` over the ranks, with the fewest bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.comm.cut import Array, pieces
from mpiapps.comm.mpi import MPI
from mpiapps.kernels.blas import add_product
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.choose import Grid, choose_grid
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.grid import exchange, grid_of
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import redistribute
from mpiapps.linalg.schedule import Place, Step, product, summa

OPS = ("N", "T", "H")
Sizes = tuple[int, int, int]


@dataclass(frozen=True)
class How:
    """What a product is besides its matrices."""

    dtype: np.dtype[Any]
    alpha: complex
    op_a: str
    op_b: str


def multiply(  # noqa: PLR0913 - PBLAS's gemm, by name
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
    """Return ``alpha op(A) op(B)``, plus ``beta C`` if there is a C. Collective.

    Parameters
    ----------
    a, b : DistMatrix
        Of one communicator, any layouts; op(A) is m x k, op(B) is k x n.
    c : DistMatrix, optional
        m x n; it is not changed, and gives the result its layout.
    alpha, beta : number
    op_a, op_b : {"N", "T", "H"}
        As it is, transposed, conjugate transposed.
    grid : Grid, optional
        Default: `choose_grid`'s, or the grid on which A and B lie already if that is as
        cheap.

    Returns
    -------
    DistMatrix

    Raises
    ------
    ValueError
        On all ranks, if shapes or communicators do not fit.

    Notes
    -----
    Where A and B do not lie as the grid wants them, they are brought there first, each
    element sent at most once. Then as `Grid.words` tells. The order of the sums depends
    on the grid alone: the same bits run after run.
    """
    m, n, k = _sizes(a, b, c, op_a, op_b)
    how = How(np.result_type(a.dtype, b.dtype, _kind(alpha)), alpha, op_a, op_b)
    plain = op_a == op_b == "N" and grid is None
    if plain and _lies_well(a, b, m, n, k):
        layout = Layout(a.layout.rows, b.layout.cols, a.layout.ranks)
        local = np.zeros(layout.local_shape(a.comm.rank), how.dtype)
        made = _on_their_grid(a, b, local, alpha)
    else:
        grid = grid or choose_grid(m, n, k, a.comm.size, how.dtype.itemsize)
        made = _on_grid(a, b, grid, (m, n, k), how)
    if c is None:
        return made
    made = made.redistribute(c.layout)
    return made + c * beta if beta != 0 else made


def gram(a: DistMatrix) -> DistMatrix:
    """Return ``A.H A``, exactly Hermitian. Collective; as `multiply`."""
    made = multiply(a, a, op_a="H")
    i, j = made.row_indices[:, None], made.col_indices[None, :]
    above = made.map(lambda local: np.where(i < j, local, 0))
    on = made.map(lambda local: np.where(i == j, local.real, 0).astype(local.dtype))
    return above + on + above.H


def _kind(factor: complex) -> np.dtype[Any]:
    """Return the least dtype that a factor asks for: it never widens a real one."""
    return np.dtype("c8" if isinstance(factor, complex) else "f4")


def _sizes(
    a: DistMatrix, b: DistMatrix, c: DistMatrix | None, op_a: str, op_b: str
) -> tuple[int, int, int]:
    for op in (op_a, op_b):
        if op not in OPS:
            raise ValueError(f"op {op!r} is not one of {', '.join(OPS)}")
    for other in (b, c):
        if other is not None and other.comm != a.comm:
            raise ValueError("the matrices must lie on the same communicator")
    m, k = a.shape if op_a == "N" else a.shape[::-1]
    kb, n = b.shape if op_b == "N" else b.shape[::-1]
    if k != kb:
        raise ValueError(
            f"cannot multiply {m} x {k} by {kb} x {n}: {k} columns meet {kb} rows"
        )
    if c is not None and c.shape != (m, n):
        raise ValueError(f"C is {c.shape}, and the product is {(m, n)}")
    return m, n, k


def _lies_well(a: DistMatrix, b: DistMatrix, m: int, n: int, k: int) -> bool:
    """Return whether A and B share a grid that is as good as the best and a move."""
    if a.layout.grid != b.layout.grid or a.layout.ranks != b.layout.ranks:
        return False
    here = Grid(*a.layout.grid)
    if a.layout.ranks != tuple(range(here.size)):
        return False
    best = choose_grid(m, n, k, a.comm.size, a.dtype.itemsize)
    moved = (m * k + k * n) / a.comm.size
    return here.words(m, n, k) <= best.words(m, n, k) + moved


def _on_their_grid(
    a: DistMatrix, b: DistMatrix, local: Array, alpha: complex
) -> DistMatrix:
    layout = Layout(a.layout.rows, b.layout.cols, a.layout.ranks)
    grid = grid_of(a.comm, layout)
    if grid.coords is not None:
        place = Place(*grid.coords, *layout.grid, *local.shape)
        axes = a.layout.cols, b.layout.rows
        steps = summa(*axes, range(axes[0].n), place)
        comms: dict[str, MPI.Comm] = {"row": grid.row, "col": grid.col}
        run(steps, comms, (a.local, b.local), axes, local, alpha)
    return DistMatrix(a.comm, layout, local)


def _on_grid(
    a: DistMatrix, b: DistMatrix, grid: Grid, sizes: Sizes, how: How
) -> DistMatrix:
    comm, layouts = a.comm, grid.layouts(*sizes)
    la, lb, lc = layouts
    parts = (
        redistribute(comm, a.local, a.layout, la, how.op_a),
        redistribute(comm, b.local, b.layout, lb, how.op_b),
    )
    comms: dict[str, MPI.Comm] = {
        "row": grid_of(comm, lb).row,
        "col": grid_of(comm, la).col,
    }
    fibre = grid_of(comm, grid.towers()).row
    i, j = divmod(comm.rank % (grid.pm * grid.pn), grid.pn)
    inside = comm.rank < grid.size
    shape = (la.rows.count(i), lb.cols.count(j)) if inside else (0, 0)
    steps = product(grid, layouts, comm.rank)
    local = np.zeros(shape, how.dtype)
    run(steps, comms, parts, (la.cols, lb.rows), local, how.alpha)
    if inside and grid.pk > 1:
        local = _summed(fibre, local, Axis(shape[0], lc.rows.block, grid.pk))
    return DistMatrix(comm, lc, local)


def run(  # noqa: PLR0913, PLR0917 - what a schedule is about
    panels: Iterable[list[Step]],
    comms: Mapping[str, MPI.Comm],
    parts: tuple[Array, Array],
    axes: tuple[Axis, Axis],
    out: Array,
    alpha: complex,
) -> None:
    """Do the steps of a schedule, but a sum; add the product to `out`. Collective.

    The broadcasts of a panel are begun before the product of the one before it.
    """
    waiting = None
    a, b = (part.astype(out.dtype, copy=False) for part in parts)
    buffers: list[dict[str, Array]] = [{}, {}]
    for number, steps in enumerate(panels):
        if steps[0].op == "sum":
            break
        panel = _Panel(steps, comms, (a, b), axes, out.dtype, buffers[number % 2])
        if waiting is not None:
            waiting.multiply(out, alpha)
        waiting = panel
    if waiting is not None:
        waiting.multiply(out, alpha)


class _Panel:
    """Some columns of A and rows of B on their way to this rank."""

    def __init__(  # noqa: PLR0913, PLR0917 - as `run`
        self,
        steps: list[Step],
        comms: Mapping[str, MPI.Comm],
        parts: tuple[Array, Array],
        axes: tuple[Axis, Axis],
        dtype: np.dtype[Any],
        buffers: dict[str, Array],
    ) -> None:
        """Begin the broadcasts. Collective; what one rank has alone stays in place."""
        whole, (a, b) = steps[-1].k, parts
        self._requests: list[MPI.Request] = []
        self._a = [_of(a.T, axes[0], whole).T] if comms["row"].size == 1 else []
        self._b = _of(b, axes[1], whole)
        if comms["col"].size > 1:
            self._b = _space(buffers, "col", (len(whole), b.shape[1]), dtype)
        columns = _space(buffers, "row", (len(whole), a.shape[0]), dtype).reshape(-1)
        for step in steps[:-1]:
            comm = comms[step.comm]
            if comm.size == 1:
                continue
            first = step.k.start - whole.start
            part = slice(first, first + len(step.k))
            if step.comm == "row":
                m = a.shape[0]
                flat = columns[part.start * m : part.stop * m]
                into = flat.reshape(m, len(step.k))
                self._a.append(into)
            else:
                into = self._b[part]
            if comm.rank == step.root:
                into[...] = (
                    _of(a.T, axes[0], step.k).T
                    if step.comm == "row"
                    else _of(b, axes[1], step.k)
                )
            if into.size:
                self._requests += [comm.Ibcast(p, root=step.root) for p in pieces(into)]

    def multiply(self, out: Array, alpha: complex) -> None:
        """Wait for the panel, and add its product to `out`. Local."""
        MPI.Request.Waitall(self._requests)
        a = self._a[0] if len(self._a) == 1 else np.hstack(self._a)
        add_product(out, a, self._b, alpha)


def _of(local: Array, axis: Axis, k: range) -> Array:
    """Return the rows of `local` that are `k` of the whole, neighbours here. Local."""
    first = axis.local(k.start)
    return local[first : first + len(k)]


def _space(
    buffers: dict[str, Array], name: str, shape: tuple[int, int], dtype: np.dtype[Any]
) -> Array:
    """Return an array of this shape in a buffer that is kept. Local."""
    size = shape[0] * shape[1]
    found = buffers.get(name)
    if found is None or found.size < size:
        found = buffers[name] = np.empty(size, dtype)
    return found[:size].reshape(shape)


def _summed(fibre: MPI.Comm, local: Array, rows: Axis) -> Array:
    """Return this rank's rows of the sum over the layers, in order. Collective."""
    mine = next(rows.runs(fibre.rank), range(0))
    found = np.empty((fibre.size, len(mine), local.shape[1]), local.dtype)
    found[fibre.rank] = local[mine.start : mine.stop]
    for shift in range(1, fibre.size):
        to, source = (
            (fibre.rank + shift) % fibre.size,
            (fibre.rank - shift) % fibre.size,
        )
        theirs = next(rows.runs(to), range(0))
        exchange(fibre, to, local[theirs.start : theirs.stop], source, found[source])
    total: Array = found[0]
    for part in found[1:]:
        total += part
    return total

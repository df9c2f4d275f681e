"""``C = alpha op(A) op(B) + beta C`` over the ranks, with the fewest bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.comm.agree import agree
from mpiapps.comm.cut import Array
from mpiapps.comm.mpi import MPI
from mpiapps.kernels.blas import add_product
from mpiapps.linalg import operands
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.carry import Carrier, carrier
from mpiapps.linalg.choose import Grid, choose_grid
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.grid import exchange, grid_of
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.redistribute import redistribute
from mpiapps.linalg.schedule import WIDTH, Place, Step, product, summa

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
        Of Python or NumPy; a complex one makes the result complex, and none changes
        its precision. The same on all ranks, as all that follows.
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
    TypeError, ValueError
        On all ranks, if shapes or communicators do not fit, a factor is not a number,
        or the ranks disagree.

    Notes
    -----
    Where A and B do not lie as the grid wants them, they are brought there first, each
    element sent at most once. Then as `Grid.words` tells. The order of the sums depends
    on the grid alone: the same bits run after run.
    """
    with agree(a.comm) as same:
        alpha, beta = operands.number(alpha, "alpha"), operands.number(beta, "beta")
        same("multiply", a, b, c, alpha, beta, op_a, op_b, grid)
        m, n, k = _sizes(a, b, c, op_a, op_b)
        if grid is not None and not 1 <= grid.size <= a.comm.size:
            raise ValueError(f"{grid} needs {grid.size} ranks of {a.comm.size}")
        how = How(np.result_type(a.dtype, b.dtype, alpha), alpha, op_a, op_b)
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


def _sizes(
    a: DistMatrix, b: DistMatrix, c: DistMatrix | None, op_a: str, op_b: str
) -> tuple[int, int, int]:
    for op in (op_a, op_b):
        if op not in OPS:
            raise ValueError(f"op {op!r} is not one of {', '.join(OPS)}")
    for other in (b, c):
        if other is not None and not isinstance(other, DistMatrix):
            raise TypeError(
                f"{type(other).__name__} is not a DistMatrix; make one with"
                " DistMatrix.from_all or from_root, or write A @ x"
            )
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
        comms: dict[str, MPI.Intracomm] = {"row": grid.row, "col": grid.col}
        run(steps, comms, (a.local, b.local), axes, local, alpha)
    return DistMatrix(a.comm, layout, local, agreed=True)


def _on_grid(
    a: DistMatrix, b: DistMatrix, grid: Grid, sizes: Sizes, how: How
) -> DistMatrix:
    comm, layouts = a.comm, grid.layouts(*sizes)
    la, lb, lc = layouts
    parts = (
        redistribute(comm, a.local, a.layout, la, how.op_a),
        redistribute(comm, b.local, b.layout, lb, how.op_b),
    )
    comms: dict[str, MPI.Intracomm] = {
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
    return DistMatrix(comm, lc, local, agreed=True)


def run(  # noqa: PLR0913, PLR0917 - what a schedule is about
    panels: Iterable[list[Step]],
    comms: Mapping[str, MPI.Intracomm],
    parts: tuple[Array, Array],
    axes: tuple[Axis, Axis],
    out: Array,
    alpha: complex,
) -> None:
    """Do the steps of a schedule, but a sum; add the product to `out`. Collective.

    A panel is begun before the product of the one before it.
    """
    waiting = None
    a, b = (part.astype(out.dtype, copy=False) for part in parts)
    k = axes[0].n
    sides = {"row": (comms["row"], len(a)), "col": (comms["col"], b.shape[1])}
    carriers = {
        name: carrier(comm, out.dtype, min(WIDTH, k) * length, k * length)
        for name, (comm, length) in sides.items()
        if comm != MPI.COMM_NULL
    }
    for number, steps in enumerate(panels):
        if steps[0].op == "sum":
            break
        panel = _Panel(number, steps, comms, (a, b), axes, carriers)
        if waiting is not None:
            waiting.multiply(out, alpha)
        waiting = panel
    if waiting is not None:
        waiting.multiply(out, alpha)


class _Panel:
    """Some columns of A and rows of B on their way to this rank."""

    def __init__(  # noqa: PLR0913, PLR0917 - as `run`
        self,
        number: int,
        steps: list[Step],
        comms: Mapping[str, MPI.Intracomm],
        parts: tuple[Array, Array],
        axes: tuple[Axis, Axis],
        carriers: Mapping[str, Carrier],
    ) -> None:
        """Begin to carry it. Collective; what one rank has alone stays in place."""
        whole, (a, b) = steps[-1].k, parts
        self._requests: list[MPI.Request] = []
        self._carriers = carriers
        self._a, self._b = [_of(a.T, axes[0], whole).T], _of(b, axes[1], whole)
        m, n = a.shape[0], b.shape[1]
        if comms["row"].size > 1:  # of one owner after the other, each m x its own k
            flat = carriers["row"].take(number, m * len(whole))
            own = [step for step in steps if step.comm == "row"]
            self._a = [_block(flat, m, _within(step.k, whole)) for step in own]
            for step, part in zip(own, self._a, strict=True):
                if comms["row"].rank == step.root:
                    part[...] = _of(a.T, axes[0], step.k).T
            self._begin("row", own, self._a)
        if comms["col"].size > 1:
            self._b = carriers["col"].take(number, len(whole), n)
            own = [step for step in steps if step.comm == "col"]
            rows = [self._b[_within(step.k, whole)] for step in own]
            for step, part in zip(own, rows, strict=True):
                if comms["col"].rank == step.root:
                    part[...] = _of(b, axes[1], step.k)
            self._begin("col", own, rows)

    def _begin(self, name: str, steps: list[Step], parts: list[Array]) -> None:
        each = [(part, step.root) for part, step in zip(parts, steps, strict=True)]
        self._requests += self._carriers[name].begin(each)

    def multiply(self, out: Array, alpha: complex) -> None:
        """Wait for the panel, and add its product to `out`. Local."""
        MPI.Request.Waitall(self._requests)
        for each in self._carriers.values():
            each.arrived()
        a = self._a[0] if len(self._a) == 1 else np.hstack(self._a)
        add_product(out, a, self._b, alpha)


def _block(flat: Array, m: int, k: slice) -> Array:
    """Return columns `k` of a panel of m rows, as a block of its own. Local."""
    return flat[m * k.start : m * k.stop].reshape(m, k.stop - k.start)


def _within(k: range, whole: range) -> slice:
    return slice(k.start - whole.start, k.stop - whole.start)


def _of(local: Array, axis: Axis, k: range) -> Array:
    """Return the rows of `local` that are `k` of the whole, neighbours here. Local."""
    first = axis.local(k.start)
    return local[first : first + len(k)]


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

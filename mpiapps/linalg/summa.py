"""SUMMA on a 3-D process grid, by its schedule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mpiapps.comm.chunking import Array
from mpiapps.device.arrays import array_module, on_device
from mpiapps.kernels.blas import add_product
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.block_messages import exchange
from mpiapps.linalg.grid import grid_of
from mpiapps.linalg.grid_choice import Grid
from mpiapps.linalg.panel_bcast import (
    DeviceTransport,
    PanelTransport,
    panel_transport,
)
from mpiapps.linalg.product_choice import WIDTH, Layouts
from mpiapps.linalg.schedule import Step, summa_product


def multiply_on(
    comm: MPI.Intracomm,
    grid: Grid,
    layouts: Layouts,
    parts: tuple[Array, Array],
    alpha: complex,
) -> Array:
    """Return this rank's block of ``alpha A B``. Collective.

    `parts` are the local blocks of A and B, of one dtype, in the first two `layouts`.
    """
    la, lb, lc = layouts
    comms = {"row": grid_of(comm, lb).row, "col": grid_of(comm, la).col}
    fibre = grid_of(comm, grid.fibre_layout()).row
    inside = comm.rank < grid.size
    i, j = divmod(comm.rank % (grid.pm * grid.pn), grid.pn)
    shape = (la.rows.count(i), lb.cols.count(j)) if inside else (0, 0)
    local: Array = array_module(parts[0]).empty(shape, parts[0].dtype)
    run(
        summa_product(grid, layouts, comm.rank),
        comms,
        parts,
        (la.cols, lb.rows),
        local,
        alpha,
    )
    if inside and grid.pk > 1:
        return reduce_scatter(fibre, local, Axis(shape[0], lc.rows.block, grid.pk))
    return local


def run(  # noqa: PLR0913, PLR0917 - independent operands, of this call alone
    panels: Iterable[list[Step]],
    comms: Mapping[str, MPI.Intracomm],
    parts: tuple[Array, Array],
    axes: tuple[Axis, Axis],
    out: Array,
    alpha: complex,
) -> None:
    """Execute a schedule up to its sum; set `out` to the product. Collective.

    Look-ahead: the transfer of a panel starts before the previous product.
    """
    pending = None
    a, b = parts
    k = axes[0].n
    sides = {"row": (comms["row"], len(a)), "col": (comms["col"], b.shape[1])}
    transports = {
        name: DeviceTransport(comm, out)
        if on_device(out)
        else panel_transport(comm, out.dtype, min(WIDTH, k) * length, k * length)
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
    else:  # without a panel
        out[...] = 0


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
        self._is_first = number == 0
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
        """Wait for the panel and add its product to `out`, or set it. Local."""
        MPI.Request.Waitall(self._requests)
        for transport in self._transports.values():
            transport.complete()
        a = self._a[0] if len(self._a) == 1 else _joined(self._a)
        add_product(out, a, self._b, alpha, overwrite=self._is_first)


def _joined(blocks: list[Array]) -> Array:
    """Return the blocks side by side, as one array. Local."""
    joined: Array = array_module(blocks[0]).hstack(blocks)
    return joined


def _block(flat: Array, m: int, k: slice) -> Array:
    """Return columns `k` of a panel of m rows as a contiguous block. Local."""
    return flat[m * k.start : m * k.stop].reshape(m, k.stop - k.start)


def _within(k: range, whole: range) -> slice:
    return slice(k.start - whole.start, k.stop - whole.start)


def _local_rows(local: Array, axis: Axis, k: range) -> Array:
    """Return the rows of `local` with the global indices `k`, in one block. Local."""
    first = axis.local(k.start)
    return local[first : first + len(k)]


def reduce_scatter(fibre: MPI.Intracomm, local: Array, rows: Axis) -> Array:
    """Return this rank's rows of the sum over the layers, in rank order. Collective."""
    if fibre.size == 1:
        return local
    parts = [rows.span(rank) for rank in range(fibre.size)]
    slices = [slice(part.start, part.stop) for part in parts]
    own, terms = local[slices[fibre.rank]], [local] * fibre.size
    module = array_module(local)
    terms[fibre.rank] = own
    for shift in range(1, fibre.size):
        to = (fibre.rank + shift) % fibre.size
        source = (fibre.rank - shift) % fibre.size
        terms[source] = module.empty_like(own)
        exchange(fibre, to, local[slices[to]], source, terms[source])
    into = terms[0 if fibre.rank else 1]
    total: Array = module.add(terms[0], terms[1], out=into)
    for term in terms[2:]:
        total += term
    return total

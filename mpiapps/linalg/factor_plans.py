"""Plans of eigenvalues, singular values and least squares; need no data."""

from __future__ import annotations

from dataclasses import replace

from mpiapps.comm.partition import blocks
from mpiapps.linalg import eigh, lstsq, svd
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.householder_qr import column_layout
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.operation_plan import OperationPlan, Problem, Work
from mpiapps.linalg.qr_choice import (
    PANELS,
    TSQR,
    WHOLE,
    choose_qr,
    panel_ranks,
    qr_block,
)
from mpiapps.linalg.reflectors import PANEL
from mpiapps.linalg.traffic import Traffic
from mpiapps.linalg.tridiagonal import row_layout

REAL = 8  # bytes of the elements of tridiagonal and bidiagonal forms
STATE = 56  # bytes of an exact sum
LAPACK_PANEL = 32
# Times that QR of a tall matrix reads it, per column of a panel (measured).
QR_READS = 6


def plan_eigh(problem: Problem) -> OperationPlan:
    """Return the plan of `eigh` of a matrix."""
    n, p, z = problem.n, problem.ranks, problem.itemsize
    real = problem.real_itemsize
    if n <= eigh.SMALL:
        work = Work(flops=14 / 3 * n**3, memory=3 * n * n * z)
        return problem.plan("LAPACK on rank 0", _small_eigh, work)
    work = Work(
        flops=14 / 3 * n**3 / p + 3 * n * n * PANEL,
        read=n**3 / 6 / p * z,
        memory=n * n / p * (2.5 * z + 3 * real) + 4 * PANEL * n * z,
    )
    return problem.plan("tridiagonal form, divide and conquer", send_eigh, work)


def _small_eigh(traffic: Traffic, problem: Problem) -> None:
    n, z = problem.n, problem.itemsize
    one = Layout.on_one((n, n), 0)
    traffic.move(problem.layout, one, z)
    traffic.broadcast(n * problem.real_itemsize)
    traffic.move(one, Layout.blocks((n, n), (1, traffic.size)), z)


def send_eigh(traffic: Traffic, problem: Problem) -> None:
    """Add what `eigh` sends, if it uses all ranks."""
    n, size, z = problem.n, traffic.size, problem.itemsize
    traffic.expect(n)
    rows = row_layout((n, n), size)
    _scale(traffic, problem.layout, rows, z)
    for start in range(0, n, PANEL):
        stop = min(start + PANEL, n)
        _gather_part(traffic, rows.rows, range(start, n), (stop - start) * z)
        for j in range(start, min(stop, n - 1)):
            traffic.all_reduce((n - j - 1) * z)
    traffic.broadcast((2 * n - 1) * REAL)
    axis = Axis.contiguous(n, size)
    _merges(traffic, axis, range(size))
    row_blocks = Layout.blocks((n, n), (size, 1))
    columns = Layout.blocks((n, n), (1, size))
    traffic.move(row_blocks, columns, problem.real_itemsize)
    for number, start in enumerate(range(0, n - 1, PANEL)):
        count = min(start + PANEL, n - 1) - start
        for elements in (count * (n - start - 1), count * count):
            traffic.broadcast(elements * z, number % size)


def _scale(traffic: Traffic, old: Layout, new: Layout, itemsize: int) -> None:
    """Add what `eigh.scaled_rows` sends."""
    traffic.move(old, new, itemsize)
    traffic.all_reduce(REAL)


def _gather_part(traffic: Traffic, axis: Axis, rows: range, row_size: int) -> None:
    """Add what `tridiagonal.gather_part` sends, of rows of `row_size` bytes."""
    first, end = (axis.count_below(i, traffic.rank) for i in (rows.start, rows.stop))
    traffic.all_gather(len(rows) * row_size, (end - first) * row_size)


def _merges(traffic: Traffic, axis: Axis, ranks: range) -> None:
    """Add what `divide_conquer` sends to merge the blocks of `ranks`, not deflated."""
    if len(ranks) == 1:
        return
    half = ranks.start + len(ranks) // 2
    parts = range(ranks.start, half), range(half, ranks.stop)
    _merges(traffic, axis, parts[traffic.rank >= half])
    order = axis.span(ranks[-1]).stop - axis.span(ranks.start).start
    share = len(blocks(order, len(ranks))[traffic.rank - ranks.start])
    group = traffic.group(ranks.start, len(ranks))
    group.all_reduce(2 * order * REAL)
    for values in (2, 1):  # roots, weights
        group.all_gather(order * values * REAL, share * values * REAL)
    traffic.include(group)


def plan_svd(problem: Problem) -> OperationPlan:
    """Return the plan of `svd.singular_values`."""
    problem = problem.tall
    m, n, p, z = problem.m, problem.n, problem.ranks, problem.itemsize
    work, steps = Work(), []
    if svd.is_tall(problem.m, problem.n, problem.ranks):
        steps.append("QR")
        work, m = _qr_work(problem), n
    if n <= svd.SMALL:
        steps.append("LAPACK on rank 0")
        work = work.then(Work(4 * n * n * (m - n / 3), 0, 2 * m * n * z))
    else:
        steps.append("bidiagonal form")
        square, panels = n * n * (m - n / 3) / p, 4 * PANEL * (m + n)
        memory = (3 * m * n / p + panels) * z
        work = work.then(Work(4 * square, square * z, memory))
    return problem.plan(", ".join(steps), send_svd, work)


def _qr_work(problem: Problem, algorithm: str = TSQR) -> Work:
    """Return the work for R of a tall matrix."""
    m, n, z = problem.m, problem.n, problem.itemsize
    p, factors, chain = problem.ranks, 0, 0.0
    if algorithm == TSQR:
        factors = p  # of all ranks, factorised on each
    elif algorithm == WHOLE:
        p = 1
    else:
        # One panel is factorised after the other.
        chain = 2 * m * n * qr_block(n, p)
        p = panel_ranks(n, p)
    read = QR_READS * min(n, LAPACK_PANEL) * m * n / p * z
    memory = (3 * m / p + max(1, factors) * n) * n * z
    flops = max(2 * m * n * n / p, chain) + 2 * factors * n**3
    return Work(flops, read, memory)


def send_svd(traffic: Traffic, problem: Problem) -> None:
    """Add what `svd.singular_values` sends."""
    (m, n), size, z = problem.layout.shape, traffic.size, problem.itemsize
    layout = problem.layout
    if svd.is_tall(problem.m, problem.n, problem.ranks):
        _qr(traffic, layout, z)
        layout, m = Layout.on_one((n, n), 0), n
    if n <= svd.SMALL:
        traffic.move(layout, Layout.on_one((m, n), 0), z)
        traffic.broadcast(n * problem.real_itemsize)
        return
    traffic.expect(2 * n)
    rows = row_layout((m, n), size)
    _scale(traffic, layout, rows, z)
    for start in range(0, n, PANEL):
        stop = min(start + PANEL, n)
        _gather_part(traffic, rows.rows, range(start, m), (stop - start) * z)
        _gather_part(traffic, rows.rows, range(start, stop), (n - start) * z)
        for j in range(start, min(stop, n - 1)):
            traffic.all_reduce((n - j - 1) * z)
            traffic.all_reduce((m - j - 1) * z)
    traffic.broadcast(2 * n * REAL)
    traffic.broadcast(n * problem.real_itemsize)


def _qr(
    traffic: Traffic, layout: Layout, itemsize: int, algorithm: str = TSQR
) -> Layout:
    """Add what `tsqr` sends; return the layout of Q."""
    (m, n), size = layout.shape, traffic.size
    rows = Layout.blocks((m, n), (size, 1))
    if algorithm == PANELS:
        columns = column_layout((m, n), size, qr_block(n, size))
        traffic.move(layout, columns, itemsize)
        _householder_qr(traffic, columns, itemsize)
        traffic.move(columns, rows, itemsize)
        return rows
    traffic.move(layout, rows, itemsize)
    block = rows.rows.block
    # Full blocks, the last one that is not empty, and empty ones.
    total = m // block * min(block, n) + min(m % block, n)
    own = min(rows.rows.count(traffic.rank), n)
    if algorithm == WHOLE:
        total, own = m, rows.rows.count(traffic.rank)
    traffic.all_gather(total * n * itemsize, own * n * itemsize)
    return rows


def _householder_qr(traffic: Traffic, columns: Layout, itemsize: int) -> None:
    """Add what `householder_qr` sends after its redistribution."""
    m, n = columns.shape
    starts = range(0, n, columns.cols.block)
    traffic.expect(3 * len(starts))
    for number, start in enumerate(starts):
        nb, owner = min(columns.cols.block, n - start), number % traffic.size
        vectors, factor = nb * (m - start) * itemsize, nb * nb * itemsize
        for size in (vectors + factor, vectors, factor):  # R, then Q
            traffic.broadcast(size, owner)
    own = n * columns.cols.count(traffic.rank)
    traffic.all_gather(n * n * itemsize, own * itemsize)


def plan_lstsq(problem: Problem) -> OperationPlan:
    """Return the plan of `lstsq` for a matrix of full rank."""
    tall, r, p, z = problem.tall, problem.columns, problem.ranks, problem.itemsize
    m, n = tall.m, tall.n
    if lstsq.is_tall((problem.m, problem.n), r, p):
        sides = replace(problem, layout=Layout.balanced((m, n + r), p))
        memory = (3 * m * (n + r) / p + (p + 6) * (n + r) ** 2) * z
        rest = Work(20 * n**3, 2 * m * n / p * z, memory)
        work = _qr_work(sides).then(rest)
        return problem.plan("R of A and B, SVD of R on every rank", send_lstsq, work)
    right = (problem.m + problem.n) * r / p
    algorithm = choose_qr(m, n, p, tall.dtype)
    factors = 2 * p if algorithm == TSQR else 2
    memory = (5 * m * n / p + (factors + 6) * n * n + 3 * right) * z
    rest = Work(20 * n**3 + 6 * m * n * r / p, 2 * m * n / p * z, memory)
    factor = _qr_work(tall, algorithm)
    work = factor.then(factor).then(rest)  # R, Q
    return problem.plan("QR, SVD of R on every rank", send_lstsq, work)


def send_lstsq(traffic: Traffic, problem: Problem) -> None:
    """Add what `lstsq` sends for a matrix of full rank."""
    (m, n), r, size = problem.layout.shape, problem.columns, traffic.size
    z, wide = problem.itemsize, m < n
    b = Layout.balanced((m, r), size)
    tall = problem.layout.T if wide else problem.layout
    for _ in "AB":  # scaled
        traffic.all_reduce(REAL)
    if lstsq.is_tall((m, n), r, size):
        traffic.move(problem.layout, Layout.blocks((m, n), (size, 1)), z)
        traffic.move(b, Layout.blocks((m, r), (size, 1)), z)
        _qr(traffic, Layout.blocks((m, n + r), (size, 1)), z)
        traffic.broadcast(n * r * z)
        traffic.broadcast(r * problem.real_itemsize)
        traffic.broadcast(n * problem.real_itemsize)
        return
    q = _qr(traffic, tall, z, choose_qr(*tall.shape, size, problem.dtype))
    order = min(m, n)
    traffic.broadcast(order * order * z)
    traffic.broadcast(order * problem.real_itemsize)
    inverse = Layout.balanced((order, order), size)
    first, second = (inverse, q) if wide else (q.T, inverse)
    x = traffic.product(second, traffic.product(first, b, z), z)
    if m <= n:
        return
    traffic.move(traffic.product(problem.layout, x, z), b, z)
    # The exact sums of squared residuals: complete ones, or their states.
    state = REAL if 1 in (m, b.grid[0]) else STATE
    own = 0 if 0 in b.local_shape(traffic.rank) else b.local_shape(traffic.rank)[1]
    traffic.all_gather(b.grid[0] * r * state, own * state)

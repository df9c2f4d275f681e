"""Plans of a few eigenvalues or singular values; need no data."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from mpiapps.linalg.axis import Axis
from mpiapps.linalg.eigsh import basis_size, block_width, is_dense
from mpiapps.linalg.factor_plans import plan_eigh, plan_svd
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.operation_plan import OperationPlan, Problem, Schedule, Work
from mpiapps.linalg.traffic import Traffic

REAL = 8  # bytes of a float64
# Columns of a product with few columns, in the time to read the matrix (measured).
COLUMNS_PER_READ = 2


def plan_eigsh(problem: Problem) -> OperationPlan:
    """Return the plan of `eigsh`: the first filling of its basis, and each later one.

    Of the matrix that has the lower triangle of the operand. If all eigenvalues are
    computed, that of `eigh`.
    """
    _check(problem, "eigenvalues")
    if is_dense(problem.n, problem.k):
        return plan_eigh(problem)
    return _plan(problem, "block Lanczos", (_eigsh, _eigsh_filling), sides=1)


def plan_svds(problem: Problem) -> OperationPlan:
    """Return the plan of `svds`, as `plan_eigsh`."""
    _check(problem, "singular values")
    if is_dense(min(problem.m, problem.n), problem.k):
        return plan_svd(problem)
    return _plan(problem, "block Golub-Kahan", (_svds, _svds_filling), sides=2)


def _check(problem: Problem, name: str) -> None:
    if problem.k > min(problem.m, problem.n):
        raise ValueError(
            f"k={problem.k} {name} of a matrix of {problem.m} x {problem.n}; expected 0"
            f" to {min(problem.m, problem.n)}"
        )


def _plan(
    problem: Problem, algorithm: str, schedules: tuple[Schedule, Schedule], sides: int
) -> OperationPlan:
    """Return the plan for schedules of the first and of each later filling.

    `sides` is the number of bases, and of products in a step.
    """
    first, later = schedules
    m, n, k, p, z = problem.m, problem.n, problem.k, problem.ranks, problem.itemsize
    size, width = basis_size(k), block_width(k)
    kept = _kept(k, size)
    rows = (m + n) / 2 / p * sides  # of the bases
    copies = 1 if sides == 2 else 4  # of A, by `solve.hermitian`
    memory = (copies * m * n / p + 2 * rows * size + (m + n) * width) * z

    def work(count: int, *, restarts: bool) -> Work:
        steps = (size - count) // width
        products = sides * steps * 2 * m * n / p * width
        basis = sum(8 * rows * (count + i * width) * width for i in range(steps))
        small = 10 * size**3 + restarts * 2 * rows * size * kept
        read = sides * steps * m * n / p * z * width / COLUMNS_PER_READ
        return Work(products + basis + small, read, memory)

    plan = problem.plan(algorithm, first, work(0, restarts=False))
    filling = problem.plan(algorithm, later, work(kept, restarts=True))
    return replace(plan, repeated={"restart": filling})


def _eigsh(traffic: Traffic, problem: Problem) -> None:
    vectors = _Vectors(traffic, problem, problem.layout)
    traffic.move(problem.layout.T, problem.layout, problem.itemsize)  # lower triangle
    traffic.all_reduce(REAL)  # largest element
    vectors.orthonormalise()
    _fill(vectors, 0)
    vectors.inner(problem.k, problem.k)
    vectors.replicate(problem.k)


def _eigsh_filling(traffic: Traffic, problem: Problem) -> None:
    vectors = _Vectors(traffic, problem, problem.layout)
    _fill(vectors, _kept(problem.k, basis_size(problem.k)))


def _kept(k: int, count: int) -> int:
    """Return the number of vectors that a restart keeps of `count`."""
    return k + (count - k) // 2


def _fill(vectors: _Vectors, count: int) -> None:
    k = vectors.problem.k
    width = block_width(k)
    vectors.traffic.expect(6 * ((basis_size(k) - count) // width))
    while count + width <= basis_size(k):
        count += width
        vectors.replicate(width)
        vectors.sum_terms(width)
        vectors.split(count, width)
    vectors.broadcast_coefficients(count, _kept(k, count))


def _svds(traffic: Traffic, problem: Problem) -> None:
    left, right = _sides(traffic, problem)
    traffic.all_reduce(REAL)
    right.orthonormalise()
    _fill_both(left, right, 0)
    for side in (right, left):
        side.inner(problem.k, problem.k)
        side.replicate(problem.k)


def _svds_filling(traffic: Traffic, problem: Problem) -> None:
    _fill_both(*_sides(traffic, problem), _kept(problem.k, basis_size(problem.k)))


def _sides(traffic: Traffic, problem: Problem) -> tuple[_Vectors, _Vectors]:
    make = partial(_Vectors, traffic, problem)
    return make(problem.layout), make(problem.layout.T)


def _fill_both(left: _Vectors, right: _Vectors, count: int) -> None:
    k = left.problem.k
    width = block_width(k)
    left.traffic.expect(12 * ((basis_size(k) - count) // width))
    while count + width <= basis_size(k):
        right.replicate(width)
        left.sum_terms(width)
        left.split(count, width)
        count += width
        left.replicate(width)
        right.sum_terms(width)
        right.split(count, width)
    right.broadcast_coefficients(2 * count, _kept(k, count))


class _Vectors:
    """What blocks of vectors cost, with the rows of a `SkinnyProduct` in `layout`."""

    def __init__(self, traffic: Traffic, problem: Problem, layout: Layout) -> None:
        self.traffic, self.problem, self.layout = traffic, problem, layout
        coords = layout.coords(traffic.rank)
        assert coords is not None  # a default layout is on all ranks
        rows = layout.rows.count(coords[0])
        self.own = len(Axis.contiguous(rows, layout.cols.procs).span(coords[1]))
        self.small = REAL * problem.components  # bytes of an element

    def replicate(self, width: int) -> None:
        """Add `Parts.replicate`."""
        row = width * self.problem.itemsize
        self.traffic.all_gather(self.layout.rows.n * row, self.own * row)

    def sum_terms(self, width: int) -> None:
        """Add the sum of the terms of a product over the process columns."""
        others = self.layout.cols.procs - 1
        received = self.own * width * self.problem.itemsize * others
        self.traffic.exchange(received, others)

    def split(self, count: int, width: int) -> None:
        """Add `OrthonormalBlocks.split`, for a basis of `count` vectors."""
        self.inner(count, width)
        self.orthonormalise()
        self.inner(count + width, width)

    def inner(self, count: int, width: int) -> None:
        """Add `OrthonormalBlocks.inner`."""
        self.traffic.all_reduce(count * width * self.problem.itemsize)

    def orthonormalise(self) -> None:
        """Add the QR factorisation of a block."""
        width = block_width(self.problem.k)
        self.traffic.gather(width * width * self.small)
        self.traffic.scatter((2 * width + 1) * width * self.small)

    def broadcast_coefficients(self, count: int, kept: int) -> None:
        """Add the broadcast of `kept` pairs or triplets, `count` numbers each."""
        k = self.problem.k  # bytes that say which have converged
        self.traffic.broadcast(kept * (REAL + count * self.small) + k)

"""Every collective of linalg: ranks that disagree, or of which one errs, all raise."""

import numpy as np
import pytest

from mpiapps.comm.consistency import DisagreementError
from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.eigh import eigh, eigvalsh
from mpiapps.linalg.grid_choice import Grid
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.lstsq import lstsq
from mpiapps.linalg.lu import lu
from mpiapps.linalg.matvec import matvec
from mpiapps.linalg.moments import mean, std
from mpiapps.linalg.multiply import gram, multiply
from mpiapps.linalg.reductions import (
    col_sums,
    diagonal,
    norm,
    row_sums,
    total,
    trace,
)
from mpiapps.linalg.solve import factorise, inverse, solve
from mpiapps.linalg.svd import svd
from mpiapps.linalg.trsm import solve_triangular
from mpiapps.linalg.tsqr import qr
from tests.linalg.cases import spread, whole

pytestmark = pytest.mark.mpi

N = 6


def rows(comm):
    return Layout.blocks((N, N), (comm.size, 1))


def columns(comm):
    return Layout.blocks((N, N), (1, comm.size))


def part(comm, dtype):
    return np.zeros(rows(comm).local_shape(comm.rank), dtype)


def roots(local, odd):
    """As numpy.emath.sqrt: complex where an element is negative, else real."""
    return local.astype("c16") if odd else local


ones = np.ones(N)
# Each disagrees on one thing: `odd` is true on one rank alone.
DIFFERENT = {
    "shape": lambda t: DistMatrix.zeros(t.comm, (N, N + t.odd)),
    "dtype": lambda t: DistMatrix.zeros(t.comm, (N, N), "f4" if t.odd else "f8"),
    "layout": lambda t: DistMatrix.zeros(
        t.comm, (N, N), layout=columns(t.comm) if t.odd else rows(t.comm)
    ),
    "part": lambda t: DistMatrix(
        t.comm, rows(t.comm), part(t.comm, "f4" if t.odd else "f8")
    ),
    "function": lambda t: DistMatrix.from_function(
        t.comm, (N, N), lambda i, j: i + j, "f4" if t.odd else "f8"
    ),
    "eye": lambda t: DistMatrix.eye(t.comm, N + t.odd),
    "seed": lambda t: DistMatrix.random(t.comm, (N, N), 3 + t.odd),
    "root": lambda t: DistMatrix.from_root(t.comm, whole((N, N)), root=int(t.odd)),
    "layout from the root": lambda t: DistMatrix.from_root(
        t.comm, whole((N, N)), columns(t.comm) if t.odd else rows(t.comm)
    ),
    "array": lambda t: DistMatrix.from_all(t.comm, whole((N, N), seed=int(t.odd))),
    "to_root": lambda t: t.a.to_root(int(t.odd)),
    "to_all": lambda t: norm(t.a) if t.odd else t.a.to_all(),
    "redistribute": lambda t: t.a.redistribute(
        columns(t.comm) if t.odd else rows(t.comm)
    ),
    "astype": lambda t: t.a.astype("c8" if t.odd else "f4"),
    "result of map": lambda t: t.a.map(lambda local: roots(local, t.odd)),
    "operand of map": lambda t: t.a.map(np.add, t.a if t.odd else t.a.T),
    "number": lambda t: t.a * (2 + t.odd),
    "kind of number": lambda t: t.a * (2j if t.odd else 2),
    "operator": lambda t: t.a - t.a if t.odd else t.a + t.a,
    "vector": lambda t: t.a + (ones + t.odd),
    "array on the left": lambda t: (ones + t.odd) * t.a,
    "layout of an operand": lambda t: t.a + (t.a if t.odd else t.by_rows),
    "alpha": lambda t: multiply(t.a, t.a, alpha=2j if t.odd else 2),
    "beta": lambda t: multiply(t.a, t.a, t.a, beta=1 + t.odd),
    "op": lambda t: multiply(t.a, t.a, op_a="T" if t.odd else "N"),
    "grid": lambda t: multiply(
        t.a, t.a, grid=Grid(1, t.comm.size) if t.odd else Grid(t.comm.size, 1)
    ),
    "gram": lambda t: trace(t.a) if t.odd else gram(t.a),
    "x": lambda t: matvec(t.a, ones + t.odd),
    "x of an operator": lambda t: t.a @ (ones + t.odd),
    "matrix of an operator": lambda t: np.full((N, N), 1.0 + t.odd) @ t.a,
    "sums": lambda t: row_sums(t.a) if t.odd else total(t.a),
    "axis": lambda t: mean(t.a, int(t.odd)),
    "ddof": lambda t: std(t.a, 0, int(t.odd)),
    "norm": lambda t: norm(t.a, "1" if t.odd else "inf"),
    "diagonal": lambda t: diagonal(t.a) if t.odd else col_sums(t.a),
    "triangle": lambda t: solve_triangular(t.a, t.a, lower=bool(t.odd)),
    "unit": lambda t: solve_triangular(t.a, t.a, unit=bool(t.odd)),
    "block": lambda t: lu(t.a, 2 + t.odd),
    "factors": lambda t: (cholesky if t.odd else lu)(t.a),
    "tall": lambda t: trace(t.a) if t.odd else qr(t.a),
    "svd": lambda t: norm(t.a) if t.odd else svd(t.a),
    "compared": lambda t: np.array_equal(t.a, whole((N, N + t.odd))),
    "object": lambda t: np.array_equal(t.a, None if t.odd else t.a),
    "axis of a norm": lambda t: np.linalg.norm(t.a, axis=int(t.odd)),
    "axis of take": lambda t: np.take(t.a, [0], axis=int(t.odd)),
    "axes": lambda t: np.transpose(t.a, (0, 1) if t.odd else (1, 0)),
    "axis of a concatenation": lambda t: np.concatenate([t.a, t.a], axis=int(t.odd)),
    "tolerance": lambda t: np.allclose(t.a, t.a, rtol=1e-5 * (1 + t.odd)),
    "larger array": lambda t: t.a[:1] + whole((N, N), seed=int(t.odd)),
    "refinements": lambda t: solve(t.a, ones, refinements=int(t.odd)),
    "given factors": lambda t: solve(t.a, ones, factors=None if t.odd else t.factors),
    "factors of an inverse": lambda t: inverse(
        t.a, factors=None if t.odd else t.factors
    ),
    "call": lambda t: multiply(t.a, t.a) if t.odd else t.a.redistribute(rows(t.comm)),
}  # fmt: skip


class Try:
    """A communicator, matrices on it, and whether this rank does otherwise."""

    def __init__(self, comm, odd):
        self.comm, self.odd = comm, odd
        self.a = definite(comm)
        self.factors = factorise(self.a)
        self.by_rows = self.a.redistribute(rows(comm))


def definite(comm):
    return spread(comm, whole((N, N)) / 8 + 4 * np.eye(N))


@pytest.mark.parametrize("call", DIFFERENT.values(), ids=DIFFERENT)
def test_disagreeing_ranks_all_raise(comm, call):
    if comm.size == 1:
        call(Try(comm, odd=False))
        return
    tried = Try(comm, odd=comm.rank == comm.size - 1)
    with pytest.raises(DisagreementError, match=r"rank 0 calls .* rank . calls"):
        call(tried)
    np.testing.assert_array_equal(tried.a.to_all(), definite(comm).to_all())


def fail(*_):
    raise KeyError("lost")


# One rank passes what is wrong, the others what is right.
WRONG = {
    "dtype": lambda t: DistMatrix.zeros(t.comm, (N, N), int if t.odd else float),
    "shape": lambda t: DistMatrix.zeros(t.comm, (N, 0.5 if t.odd else N)),
    "sides": lambda t: DistMatrix.zeros(t.comm, (N,) * (2 + t.odd)),
    "layout": lambda t: DistMatrix.zeros(
        t.comm, (N, N + t.odd), layout=Layout.cyclic((N, N), t.comm.size)
    ),
    "seed": lambda t: DistMatrix.random(t.comm, (N, N), -1 if t.odd else 1),
    "function": lambda t: DistMatrix.from_function(
        t.comm, (N, N), fail if t.odd else np.add
    ),
    "imaginary": lambda t: DistMatrix.from_function(
        t.comm, (N, N), lambda i, j: i + (1j if t.odd else j)
    ),
    "map": lambda t: t.a.map(fail if t.odd else np.exp),
    "number": lambda t: t.a * ("2" if t.odd else 2),
    "array": lambda t: t.a + np.ones(N + t.odd),
    "alpha": lambda t: multiply(t.a, t.a, alpha="2" if t.odd else 2),
    "op": lambda t: multiply(t.a, t.a, op_b="X" if t.odd else "N"),
    "norm": lambda t: norm(t.a, "2" if t.odd else "1"),
    "axis": lambda t: mean(t.a, 2 if t.odd else 1),
    "x": lambda t: matvec(t.a, np.ones(N + t.odd)),
    "text": lambda t: matvec(t.a, ["a"] * N if t.odd else ones),
    "ddof": lambda t: std(t.a, ddof="1" if t.odd else 1),
    "triangle": lambda t: solve_triangular(t.a, t.a, op="X" if t.odd else "N"),
    "block": lambda t: cholesky(t.a, "2" if t.odd else 2),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_an_error_of_one_rank_is_raised_on_all(comm, call):
    tried = Try(comm, odd=comm.rank == comm.size - 1)
    with pytest.raises((TypeError, ValueError, KeyError)) as caught:
        call(tried)
    assert not isinstance(caught.value, DisagreementError)
    assert len(set(comm.allgather(str(caught.value)))) == 1


def test_a_function_whose_dtype_depends_on_the_elements(comm):
    array = np.array([[1.0, 1, 1, -1]] * 4)
    made = spread(comm, array, Layout.blocks((4, 4), (1, comm.size)))
    if comm.size == 1:
        assert made.map(np.emath.sqrt).dtype == complex
        return
    with pytest.raises(TypeError, match=r"'float64'.*'complex128'"):
        made.map(np.emath.sqrt)


TWO_OPERANDS = {
    "solve": solve,
    "solve, positive": lambda a, b: solve(a, b, kind="positive"),
    "factors": lambda a, b: solve(a, a, factors=factorise(b)),
    "triangular": solve_triangular,
    "eigh": eigh,
    "eigvalsh": eigvalsh,
    "lstsq": lstsq,
    "multiply": multiply,
    "add": lambda a, b: a + b,
}


@pytest.mark.parametrize("call", TWO_OPERANDS.values(), ids=TWO_OPERANDS)
def test_matrices_of_two_communicators(comm, call):
    other = comm.Split(0, -comm.rank)
    a, b = DistMatrix.eye(comm, N), DistMatrix.eye(other, N)
    with pytest.raises(ValueError, match="different communicators; expected one"):
        call(a, b)
    a, b = DistMatrix.random(comm, (101, 4)), DistMatrix.random(other, (101, 1))
    with pytest.raises(ValueError, match="different communicators; expected one"):
        lstsq(a, b)
    other.Free()

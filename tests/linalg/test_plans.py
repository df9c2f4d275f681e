"""What a plan says is what moves: counted on real runs."""

from types import SimpleNamespace

import numpy as np
import pytest

from mpiapps.base.errors import CheckFailed
from mpiapps.launch.mpi import MPI
from mpiapps.linalg import (
    cholesky_plan,
    eigh,
    eigsh,
    element_moves,
    factor_plans,
    factorization,
    krylov_plans,
    lu,
    lu_panel,
    lu_plan,
    row_swaps,
    summa,
    svd,
    tsqr,
)
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.divide_conquer import _Merge
from mpiapps.linalg.factorization import panels
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.lstsq import lstsq
from mpiapps.linalg.operation_plan import Problem
from mpiapps.linalg.qr_choice import PANELS, TSQR, WHOLE
from mpiapps.linalg.solve import hermitian
from mpiapps.linalg.svds import svds
from mpiapps.linalg.traffic import Traffic
from tests.linalg.cases import DTYPES, spread, whole


class Counted(MPI.Intracomm):
    """A communicator that counts the arrays which this rank receives."""

    def count(self, received):
        if self.size > 1:
            self.total.received += received
            self.total.messages += 1

    def Split(self, *arguments):  # noqa: N802 - mpi4py's
        return counted(super().Split(*arguments), self.total)

    def Allreduce(self, send, receive, op=MPI.SUM):  # noqa: N802 - mpi4py's
        if receive.dtype != np.int64:  # a comparison of arguments
            self.count(2 * (receive.nbytes - receive.nbytes // self.size))
        super().Allreduce(send, receive, op)

    def Bcast(self, array, root=0):  # noqa: N802 - mpi4py's
        self.count(array.nbytes if self.rank != root else 0)
        super().Bcast(array, root)

    def Ibcast(self, array, root=0):  # noqa: N802 - mpi4py's
        self.count(array.nbytes if self.rank != root else 0)
        return super().Ibcast(array, root)

    def Allgatherv(self, send, receive):  # noqa: N802 - mpi4py's
        self.count(sum(receive[1]) - send[1])
        super().Allgatherv(send, receive)

    def Gather(self, send, receive, root=0):  # noqa: N802 - mpi4py's
        self.count((self.size - 1) * send.nbytes if self.rank == root else 0)
        super().Gather(send, receive, root)

    def Scatter(self, send, receive, root=0):  # noqa: N802 - mpi4py's
        self.count(receive.nbytes if self.rank != root else 0)
        super().Scatter(send, receive, root)

    def Recv(self, array, source):  # noqa: N802 - mpi4py's
        self.count(array.nbytes)
        super().Recv(array, source)

    def bcast(self, value, root=0):
        value = super().bcast(value, root)
        parts = value if isinstance(value, tuple) else vars(value).values()
        self.count(sum(x.nbytes for x in parts) if self.rank != root else 0)
        return value


def counted(comm, total):
    comm = Counted(comm)
    comm.total = total
    return comm


@pytest.fixture
def counting(comm, monkeypatch):
    """A communicator with counts; exchanges with a rank are messages, also empty."""
    comm = counted(comm.Dup(), SimpleNamespace(received=0, messages=0))
    plain = element_moves.exchange

    def exchange(_comm, to, out, source, into):
        comm.count(into.nbytes)
        plain(_comm, to, out, source, into)

    for module in (element_moves, row_swaps, summa):
        monkeypatch.setattr(module, "exchange", exchange)
    # Eigenvalues that are almost equal are deflated, and the plan has all of them.
    monkeypatch.setattr(_Merge, "_deflate", lambda merge: np.arange(merge.d.size))
    yield comm
    comm.Free()


def compare(comm, schedule, call, x, **wanted):
    """Compare the counts of a call with those of the plan."""
    layout = Layout.balanced(x.shape, comm.size)
    problem = Problem(layout, comm.size, x.dtype, **wanted)
    planned = Traffic(comm.rank, comm.size)
    schedule(planned, problem)
    a = spread(comm, x, layout)
    before = vars(comm.total).copy()
    call(a)
    received, messages = (
        getattr(comm.total, name) - before[name] for name in ("received", "messages")
    )
    assert (messages, received) == (planned.messages, planned.received)


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.parametrize("dtype", DTYPES)
def test_eigenvalues_and_singular_values(counting, dtype, monkeypatch):
    x = whole((70, 70), dtype)
    x += x.conj().T
    tall = factor_plans.send_svd, svd.singular_values
    compare(counting, factor_plans._small_eigh, eigh.eigh, x)
    for small in (1000, 0):
        monkeypatch.setattr(svd, "SMALL", small)
        monkeypatch.setattr(eigh, "SMALL", small)
        for shape in ((70, 70), (75, 66), (9 * counting.size, 8)):
            compare(counting, *tall, whole(shape, dtype))
    compare(counting, factor_plans.send_eigh, eigh.eigh, x)
    compare(counting, factor_plans.send_eigh, eigh.eigh, x[:33, :33])


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 70, 200])
def test_cholesky_factors(counting, dtype, n, monkeypatch):
    x = np.tril(whole((n, n), dtype)) / n + 2 * np.eye(n, dtype=dtype)
    x = (x @ x.conj().T).astype(dtype)
    monkeypatch.setattr(factorization, "one_rank_is_faster", lambda *_: True)
    compare(counting, cholesky_plan._on_rank_0, cholesky, x)
    monkeypatch.setattr(factorization, "one_rank_is_faster", lambda *_: False)
    compare(counting, cholesky_plan.send_cholesky, cholesky, x)


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 70, 200])
@pytest.mark.parametrize("tournament", [False, True])
def test_lu_factors(counting, dtype, n, tournament, monkeypatch):
    pivots, permutation_of = {}, lu.permutation_of

    def recorded(n, start, found):
        pivots[start] = found
        return permutation_of(n, start, found)

    def schedule(traffic, problem):
        lu_plan.send_lu(traffic, problem, lambda panel: pivots[panel.k.start])

    monkeypatch.setattr(factorization, "one_rank_is_faster", lambda *_: False)
    monkeypatch.setattr(lu, "permutation_of", recorded)
    monkeypatch.setattr(lu_panel, "tournament_is_faster", lambda *_: tournament)
    x = whole((n, n), dtype)
    layout = Layout.cyclic((n, n), counting.size, 32)
    lu.lu(spread(counting, x, layout), lu_panel.block_for_lu(n, counting.size))
    compare(counting, schedule, lu.lu, x)


def test_random_pivots_are_rows_that_remain():
    rows = Axis(500, 64, 3)
    pivots = lu_plan.random_pivots(500)
    for panel in panels(rows, (3, 2)):
        found = pivots(panel)
        assert np.array_equal(found, pivots(panel))
        assert len(found) == len(panel)
        assert (found >= np.arange(len(panel))).all()
        assert found.max() < 500 - panel.k.start


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.parametrize("shape", [(60, 7), (7, 60), (23, 23), (31, 6)], ids=str)
@pytest.mark.parametrize("algorithm", [TSQR, WHOLE, PANELS])
def test_least_squares(counting, shape, algorithm, monkeypatch):
    for module in (tsqr, factor_plans):
        monkeypatch.setattr(module, "choose_qr", lambda *_: algorithm)
    for columns in (1, 5):
        b = DistMatrix.random(counting, (shape[0], columns))
        compare(
            counting,
            factor_plans.send_lstsq,
            lambda a, b=b: lstsq(a, b),
            whole(shape),
            columns=columns,
        )


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.parametrize("dtype", DTYPES)
def test_fillings_of_a_krylov_basis(counting, dtype, monkeypatch):
    monkeypatch.setattr(eigsh, "SMALL", 0)
    monkeypatch.setattr(eigsh, "MAX_DEPTH", 5)
    monkeypatch.setattr(eigsh, "MIN_DEPTH", 5)
    x = whole((61, 61), dtype)
    plans = krylov_plans
    cases = [(x, eigsh_of_triangle, plans._eigsh, plans._eigsh_filling)]
    for m, n in ((61, 50), (33, 61)):
        cases.append((x[:m, :n], svds, plans._svds, plans._svds_filling))
    for matrix, function, first, later in cases:
        # The first filling, with results; then two without.
        compare(counting, first, lambda a, f=function: f(a, 3, tol=1e9), matrix, k=3)
        compare(
            counting,
            later,
            lambda a, f=function: difference(counting, a, f),
            matrix,
            k=3,
        )


def eigsh_of_triangle(a, k, **options):
    """As the operation of the program."""
    return eigsh.eigsh(hermitian(a), k, **options)


def difference(comm, a, function):
    """Let the counts increase by those of a second filling of the basis."""
    before = vars(comm.total).copy()
    counts = []
    for maxiter in (1, 2):
        vars(comm.total).update(received=0, messages=0)
        with pytest.raises(CheckFailed, match="0 of 3"):
            function(a, 3, maxiter=maxiter)
        counts.append(vars(comm.total).copy())
    for name in before:
        before[name] += counts[1][name] - counts[0][name]
    vars(comm.total).update(before)

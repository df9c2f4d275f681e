import numpy as np
import pytest

from mpiapps.base.errors import Checkpointed
from mpiapps.comm.consistency import DisagreementError
from mpiapps.linalg import factor_checkpoint, factorization, lu_panel, trsm
from mpiapps.linalg import layout as layout_module
from mpiapps.linalg import lu as lu_module
from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.condition import condition
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.factorization import block_for
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.lu import lu
from mpiapps.linalg.matvec import matvec
from mpiapps.linalg.reductions import col_sums, norm, row_sums, trace
from mpiapps.linalg.solve import factorise, inverse, solve
from mpiapps.linalg.trsm import solve_triangular
from mpiapps.linalg.tsqr import qr
from tests.linalg.cases import DTYPES, close, layouts, spread, whole

pytestmark = pytest.mark.mpi

ORDERS = [0, 1, 2, 5, 17]
BLOCKS = [1, 3, None]
# Every dtype once, every order and block in one dtype.
KINDS = [
    *((17, 3, dtype) for dtype in DTYPES),
    *((n, b, "f8") for n in ORDERS for b in BLOCKS),
]


@pytest.fixture(params=[1, -1], ids=["on rank 0", "on all ranks"])
def ranks(request, monkeypatch):
    """Compute on rank 0 alone, as small matrices are, and on all ranks."""
    monkeypatch.setattr(factorization, "PANEL_SECONDS", request.param)


def positive(n, dtype="f8"):
    x = whole((n, n), dtype)
    return (x @ x.conj().T + n * np.eye(n)).astype(dtype)


@pytest.mark.parametrize(("n", "block", "dtype"), KINDS)
def test_cholesky(comm, n, block, dtype):
    x = positive(n, dtype)
    found = cholesky(spread(comm, x), block)
    close(found, np.linalg.cholesky(x) if n else x)


def test_cholesky_reads_only_the_lower_triangle(comm):
    x = positive(9)
    for layout in layouts((9, 9), comm.size):
        for other in (1, np.nan, np.inf):
            above = np.triu(np.full((9, 9), other), 1)
            found = cholesky(spread(comm, np.tril(x) + above, layout), 2)
            close(found, np.linalg.cholesky(x))
        below = np.tril(x)
        below[5, 2] = np.nan
        with pytest.raises(ValueError, match=r"element \(5, 2\) is nan"):
            cholesky(spread(comm, below, layout))


@pytest.mark.parametrize("minor", [1, 4, 9])
def test_the_error_has_the_order_of_the_nonpositive_minor(comm, minor):
    x = positive(9)
    x[minor - 1, minor - 1] = -1
    with pytest.raises(np.linalg.LinAlgError, match=f"minor of order {minor} is"):
        cholesky(spread(comm, x), 2)


@pytest.mark.parametrize(("n", "block", "dtype"), KINDS)
def test_lu(comm, n, block, dtype):
    x = whole((n, n), dtype)
    found = lu(spread(comm, x), block, pivoting="partial")
    assert sorted(found.rows) == list(range(n))
    factors = np.asarray(found.factors)
    lower = np.tril(factors, -1) + np.eye(n, dtype=dtype)
    # Partial pivoting; LAPACK compares complex numbers by |re| + |im|.
    assert np.abs(lower).max(initial=0) <= 1.0001 * (
        2**0.5 if x.dtype.kind == "c" else 1
    )
    close(spread(comm, lower @ np.triu(factors)), x[found.rows])


@pytest.fixture(params=[False, True], ids=["grid", "rows"])
def grids(request, monkeypatch):
    """Use the usual process grids, and one process column: the longest tournament."""
    if request.param:
        monkeypatch.setattr(layout_module, "process_grid", lambda size: (size, 1))


@pytest.fixture
def no_illegal_values(capfd):
    """Fail if LAPACK prints that an argument is wrong, as for no rows."""
    yield
    assert "illegal value" not in "".join(capfd.readouterr())


@pytest.fixture
def tournaments(monkeypatch):
    """Whether each panel of this rank was factorised by a tournament."""
    results, plain = [], lu_module.factorise_by_tournament

    def recorded(*arguments):
        results.append(plain(*arguments))
        return results[-1]

    monkeypatch.setattr(lu_module, "factorise_by_tournament", recorded)
    return results


def check_lu(comm, a, found, largest):
    n = len(a)
    assert sorted(found.rows) == list(range(n))
    factors = np.asarray(found.factors)
    lower = np.tril(factors, -1) + np.eye(n, dtype=a.dtype)
    assert np.abs(lower).max(initial=0) <= largest
    close(spread(comm, lower @ np.triu(factors)), a[found.rows], 50 + n)


@pytest.mark.parametrize(
    ("n", "block", "dtype"), [*KINDS, (150, 16, "f8"), (300, 100, "c16")]
)
@pytest.mark.usefixtures("grids", "no_illegal_values")
def test_lu_by_a_tournament(comm, n, block, dtype, tournaments):
    x = whole((n, n), dtype)
    x[:1] *= 1e-6  # too small for a pivot
    for a in (x, np.tril(x, 1)):
        found = lu(spread(comm, a), block, pivoting="tournament")
        check_lu(comm, a, found, lu_panel.MAX_MULTIPLIER)
    assert all(tournaments)
    assert bool(tournaments) or block is None or n < comm.size * block


@pytest.mark.usefixtures("grids")
def test_partial_pivoting_repeats_a_panel_with_large_multipliers(
    comm, tournaments, monkeypatch
):
    a = whole((40, 40))
    partial = lu(spread(comm, a), 4, pivoting="partial")
    monkeypatch.setattr(lu_panel, "MAX_MULTIPLIER", 1e-9)
    found = lu(spread(comm, a), 4, pivoting="tournament")
    assert not any(tournaments[:1])
    assert np.array_equal(found.rows, partial.rows)
    assert np.array_equal(found.factors.local, partial.factors.local)


def test_the_pivoting_is_one_for_all_ranks(comm):
    with pytest.raises(ValueError, match="'complete'; expected 'partial' or 'tourn"):
        lu(spread(comm, whole((9, 9))), 2, pivoting="complete")
    if comm.size > 1:
        pivoting = "partial" if comm.rank else "tournament"
        with pytest.raises(DisagreementError):
            lu(spread(comm, whole((9, 9))), 2, pivoting=pivoting)


def test_from_4_process_rows_on_the_default_is_a_tournament(comm, monkeypatch):
    assert not lu_panel.tournament_is_faster(10**5, 64, 3)
    assert lu_panel.tournament_is_faster(10**5, 64, 4)
    assert lu_panel.block_for_lu(65_536, 1024) == 128
    assert lu_panel.block_for_lu(65_536, 1024, on_one=True) == 64
    monkeypatch.setattr(lu_panel, "LEAST_PROCS", 1)
    monkeypatch.setattr(layout_module, "process_grid", lambda size: (size, 1))
    check_lu(comm, a := whole((600, 600)), lu(spread(comm, a), 8), 30)


@pytest.mark.parametrize("pivoting", ["partial", "tournament"])
def test_the_error_has_the_column_without_pivot(comm, pivoting):
    x = whole((8, 8))
    x[:, 5] = 0
    with pytest.raises(np.linalg.LinAlgError, match="column 5 has no nonzero pivot"):
        lu(spread(comm, x), 2, pivoting=pivoting)
    assert condition(spread(comm, x)) == np.inf


def turned(x, op):
    return {"N": x, "T": x.T, "H": x.conj().T}[op]


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("op", ["N", "T", "H"])
@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.usefixtures("ranks")
def test_triangular_solves(comm, lower, op, unit):
    n, r = 11, 4
    x = whole((n, n), "c16") + 5 * np.eye(n)
    half = np.tril(x) if lower else np.triu(x)
    if unit:
        np.fill_diagonal(half, 1)
    b = whole((n, r), "c16")
    for layout in layouts((n, n), comm.size):
        kwargs = {"lower": lower, "op": op, "unit": unit}
        found = solve_triangular(spread(comm, x, layout), spread(comm, b), **kwargs)
        close(found, np.linalg.solve(turned(half, op), b), 1e5)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 40, 300])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("op", ["N", "T", "H"])
def test_a_triangle_in_rows_is_used_where_it_is(comm, n, lower, op, monkeypatch):
    x = whole((n, n), "f8" if op == "N" else "c16") / max(1, n) + 4 * np.eye(n)
    half = np.tril(x) if lower else np.triu(x)
    a = spread(comm, half, Layout.blocks((n, n), (comm.size, 1)))
    b = whole((n, 1), "c16")
    monkeypatch.setattr(trsm, "_stays", lambda a, _: a.comm.size > 1)
    found = solve_triangular(a, spread(comm, b), lower=lower, op=op)
    close(found, np.linalg.solve(turned(half, op), b), 1e4)


@pytest.mark.parametrize("op", ["N", "T", "H"])
def test_a_large_triangle_in_rows_is_not_moved(comm, op, monkeypatch):
    n = 1000
    x = np.tril(whole((n, n)) / n) + 2 * np.eye(n)
    a, b = spread(comm, x, Layout.blocks((n, n), (comm.size, 1))), whole((n, 1))
    move, moved = DistMatrix._redistributed, []

    def recorded(matrix, layout):
        moved.append(matrix.shape)
        return move(matrix, layout)

    monkeypatch.setattr(DistMatrix, "_redistributed", recorded)
    solve_triangular(a, spread(comm, b), op=op)
    assert (n, n) not in moved


@pytest.mark.parametrize("op", ["N", "T"])
@pytest.mark.usefixtures("ranks")
def test_the_error_has_the_zero_diagonal_element(comm, op):
    x = np.tril(whole((7, 7)))
    x[4, 4] = 0
    for layout in (None, Layout.blocks((7, 7), (comm.size, 1))):
        with pytest.raises(np.linalg.LinAlgError, match=r"element \(4, 4\)"):
            solve_triangular(spread(comm, x, layout), whole((7, 2)), op=op)


@pytest.mark.parametrize("kind", ["general", "positive"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.usefixtures("ranks")
def test_solve_and_inverse(comm, kind, dtype):
    x = positive(14, dtype) if kind == "positive" else whole((14, 14), dtype)
    y = whole((14, 3), dtype)
    factor = 100 * np.linalg.cond(x)
    for layout in layouts((14, 3), comm.size):
        found = solve(spread(comm, x), spread(comm, y, layout), kind=kind)
        close(found, np.linalg.solve(x, y), factor)
    close(inverse(spread(comm, x), kind=kind), np.linalg.inv(x), factor)


@pytest.mark.parametrize("n", [1, 3, 14, 40])
@pytest.mark.parametrize("dtype", DTYPES)
def test_inverses_from_factors_of_many_panels(comm, n, dtype, monkeypatch):
    monkeypatch.setattr(factorization, "PANEL_SECONDS", -1)  # panels on all ranks
    for kind, factorised in (("general", lu), ("positive", cholesky)):
        x = positive(n, dtype) if kind == "positive" else whole((n, n), dtype)
        a = spread(comm, x)
        factors = factorised(a, 3)
        matrix = factors.factors if kind == "general" else factors
        assert n < 4 or matrix.layout.rows.block == 3
        found = inverse(a, kind=kind, factors=factors)
        assert found.layout == a.layout
        close(found, np.linalg.inv(x), 100 * np.linalg.cond(x))


@pytest.mark.usefixtures("ranks")
def test_systems_that_cannot_be_solved_are_refused(comm):
    x, y = spread(comm, positive(6)), spread(comm, whole((6, 2)))
    for call in (solve, inverse):
        with pytest.raises(ValueError, match="kind 'LU' is not one of general, pos"):
            call(x, *[y] * (call is solve), kind="LU")
    with pytest.raises(TypeError, match="dtype bool"):
        solve(x, y.astype(bool))
    for function in (inverse, condition):
        with pytest.raises(ValueError, match="expected a square matrix"):
            function(y)
        with pytest.raises(ValueError, match=r"element \(2, 3\) is nan"):
            bad = positive(6)
            bad[2, 3] = np.nan
            function(spread(comm, bad))


@pytest.mark.usefixtures("ranks")
def test_refinement_corrects_a_badly_scaled_system(comm):
    x = whole((12, 12)) * 10.0 ** np.arange(-6, 6)[:, None]
    truth = whole((12, 1))
    found = np.asarray(solve(spread(comm, x), spread(comm, x @ truth), refinements=2))
    backward = np.abs(x @ found - x @ truth) / (np.abs(x) @ np.abs(found))
    assert backward.max() < 1e-15


@pytest.mark.parametrize("wanted", [1e1, 1e6, 1e12])
@pytest.mark.usefixtures("ranks")
def test_the_condition_estimate_is_within_a_factor(comm, wanted):
    u = np.linalg.qr(whole((20, 20)))[0]
    v = np.linalg.qr(whole((20, 20), seed=1))[0]
    x = u @ np.diag(np.geomspace(1, 1 / wanted, 20)) @ v
    truth = np.linalg.cond(x, 1)
    assert truth / 10 <= condition(spread(comm, x)) <= truth * 1.01


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_are_the_same_from_gathered_factors(comm, dtype, monkeypatch):
    monkeypatch.setattr(factorization, "PANEL_SECONDS", -1)  # LU on all ranks
    x, b = whole((70, 70), dtype), whole((70, 3), dtype, seed=1)
    positive = x @ x.conj().T + np.eye(70, dtype=dtype)
    tolerance = 1e-3 if dtype in "f4 c8" else 1e-9
    found = []
    for faster in (False, True):
        for module in ("condition", "factor_solvers"):
            rule = f"mpiapps.linalg.{module}.rank_0_is_faster"
            monkeypatch.setattr(rule, lambda *_, faster=faster: faster)
        solutions = [
            solve(spread(comm, a), spread(comm, b), kind=kind).to_all()
            for a, kind in ((x, "general"), (positive, "positive"))
        ]
        found.append((condition(spread(comm, x)), *solutions))
    for one, other in zip(*found, strict=True):
        scale = np.abs(one).max()
        np.testing.assert_allclose(one / scale, other / scale, 0, tolerance)


@pytest.mark.usefixtures("ranks")
def test_the_condition_of_overflowing_inverses_is_infinite(comm):
    assert condition(spread(comm, np.diag(np.logspace(150, -160, 200)))) == np.inf


@pytest.mark.usefixtures("ranks")
@pytest.mark.parametrize("kinds", [("f8", "f4", "f4"), ("f4", "f8", "f4")])
def test_factors_may_have_another_dtype_than_the_system(comm, kinds):
    x = positive(7)
    factors, a, b = (x.astype(kind) for kind in kinds)
    solved = solve(
        spread(comm, a),
        spread(comm, b[:, :1]),
        factors=factorise(spread(comm, factors)),
    )
    assert solved.dtype == np.result_type(kinds[0], kinds[2])
    np.testing.assert_allclose(solved.to_all(), np.eye(7)[:, :1], atol=1e-5)
    found = inverse(spread(comm, a), factors=factorise(spread(comm, factors)))
    assert found.dtype == np.result_type(*kinds[:2])
    np.testing.assert_allclose(found.to_all(), np.linalg.inv(x), atol=1e-5)


def test_rank_0_factorises_small_matrices(comm):
    x = positive(17)
    for factor in (cholesky(spread(comm, x)), lu(spread(comm, x)).factors):
        assert factor.layout.ranks == (0,)
    x[8, 8] = -1
    with pytest.raises(np.linalg.LinAlgError, match="minor of order 9 is"):
        solve(spread(comm, x), spread(comm, x), kind="positive")
    x[:, 5] = 0
    with pytest.raises(np.linalg.LinAlgError, match="column 5 has no nonzero pivot"):
        solve(spread(comm, x), spread(comm, x))
    # Many right sides are not moved to one rank.
    b = DistMatrix.zeros(comm, (17, 10**5))
    found = solve_triangular(spread(comm, np.eye(17)), b)
    assert found.layout == b.layout


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (6, 9), (9, 6)])
def test_sums_norms_and_products_with_a_vector(comm, shape):
    x = whole(shape, "c16")
    for layout in layouts(shape, comm.size):
        a = spread(comm, x, layout)
        np.testing.assert_allclose(row_sums(a), x.sum(axis=1))
        np.testing.assert_allclose(col_sums(a), x.sum(axis=0))
        np.testing.assert_allclose(
            matvec(a, np.arange(shape[1])), x @ np.arange(shape[1])
        )
        np.testing.assert_allclose(trace(a), np.trace(x))
        for kind, order in (("fro", "fro"), ("1", 1), ("inf", np.inf)):
            expected = np.linalg.norm(x, order) if x.size else 0
            np.testing.assert_allclose(norm(a, kind), expected)
        assert norm(a, "max") == np.abs(x).max(initial=0)


def test_norms_neither_overflow_nor_lose_a_nan(comm):
    for value in (1e300, 1e-300):
        assert np.isclose(norm(spread(comm, np.full((4, 4), value))), 4 * value)
    x = np.ones((5, 5))
    x[3, 2] = np.nan
    for kind in ("fro", "1", "inf", "max"):
        assert np.isnan(norm(spread(comm, x), kind))
    many = np.ones((40, 40))
    for count in (1, 2, 3, 1500):
        many.flat[-count:] = -np.nan  # as of inf - inf, whose sign bit is set
        assert np.isnan(norm(spread(comm, many)))
    with pytest.raises(ValueError, match=r"element \(3, 2\) is nan"):
        lu(spread(comm, x))


def test_mismatched_operands_are_refused(comm):
    a = DistMatrix.zeros(comm, (3, 4))
    for call in (cholesky, lu):
        with pytest.raises(ValueError, match="3 x 4; expected a square"):
            call(a)
    with pytest.raises(ValueError, match="expected at least as many rows"):
        qr(a)
    with pytest.raises(ValueError, match=r"shape \(3,\); expected \(4,\)"):
        matvec(a, np.zeros(3))
    with pytest.raises(ValueError, match="for 4 rows; expected 3"):
        solve(DistMatrix.eye(comm, 3), DistMatrix.zeros(comm, (4, 1)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["general", "positive"])
def test_factorisations_resume_from_any_panel(comm, tmp_path_factory, kind, dtype):
    mine = tmp_path_factory.mktemp("saved") / "data"
    path = comm.bcast(mine)
    x = positive(17, dtype) if kind == "positive" else whole((17, 17), dtype)
    a, saved = spread(comm, x), []
    straight = factorise(a, kind, on_panel=lambda found: saved.append(found.done))
    blocks = -(-17 // block_for(17, comm.size))
    assert len(saved) == blocks - 1
    for stop in saved:

        def on_panel(found, stop=stop):
            if found.done == stop:
                raise Checkpointed(factor_checkpoint.save(found, path))

        with pytest.raises(Checkpointed) as caught:
            factorise(a, kind, on_panel=on_panel)
        since = factor_checkpoint.load(comm, path, caught.value.args[0])
        again = factorise(a, kind, partial=since)
        if kind == "general":
            np.testing.assert_array_equal(again.rows, straight.rows)
            again, first = again.factors, straight.factors
        else:
            first = straight
        np.testing.assert_array_equal(again.local, first.local)

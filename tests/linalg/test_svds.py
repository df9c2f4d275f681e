"""The largest singular values and vectors: small residuals, none missed."""

import numpy as np
import pytest

from mpiapps.app.context import RunContext
from mpiapps.base.errors import exit_code
from mpiapps.linalg import eigsh as module
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.orthonormal_blocks import OrthonormalBlocks
from mpiapps.linalg.result_checks import singular_vector_error
from mpiapps.linalg.svds import SvdsNoConvergence, svds
from mpiapps.matrix import Options, run
from tests.linalg.cases import DTYPES, layouts, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]

SHAPES = [(33, 33), (47, 31), (31, 47)]
MAX_ERROR = 5  # in max(m, n) eps |A|


@pytest.fixture(autouse=True)
def _distributed(monkeypatch):
    """Let all ranks compute also small matrices, with several restarts."""
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "MAX_DEPTH", 5)
    monkeypatch.setattr(module, "MIN_DEPTH", 5)


def with_values(shape, values, dtype="f8"):
    """Return a matrix with these singular values, and zeros."""
    left, right = (
        np.linalg.qr(whole((n, len(values)), dtype, seed))[0]
        for n, seed in zip(shape, (1, 2), strict=True)
    )
    return ((left * values) @ right.conj().T).astype(dtype)


def check(comm, x, k, layout=None, **options):
    """Compare residuals, orthogonality and values with the rounding error."""
    a, (m, n), real = spread(comm, x, layout), x.shape, x.real.dtype
    u, s, vh = svds(a, k, **options)
    assert (u.shape, s.shape, vh.shape) == ((m, k), (k,), (k, n))
    assert (u.dtype, s.dtype, vh.dtype) == (x.dtype, real, x.dtype)
    assert u.layout == Layout.balanced((m, k), comm.size)
    assert (np.diff(s) <= 0).all()
    assert (s >= 0).all()
    np.testing.assert_array_equal(np.asarray(a), x)  # not changed
    largest = float(np.abs(x).max(initial=0)) or 1.0
    wide = np.result_type(x.dtype, "f8")
    x, u, v = (x / largest).astype(wide), np.asarray(u), np.asarray(vh).conj().T
    u, s, v = u.astype(wide), s.astype(float) / largest, v.astype(wide)
    values = np.linalg.svd(x, compute_uv=False)
    size = values.max(initial=0) or 1.0
    found = [
        np.abs(s - values[:k]).max(initial=0) / size,
        np.linalg.norm(x @ v - u * s, axis=0).max(initial=0) / size,
        np.linalg.norm(x.conj().T @ u - v * s, axis=0).max(initial=0) / size,
        np.abs(u.conj().T @ u - np.eye(k)).max(initial=0),
        np.abs(v.conj().T @ v - np.eye(k)).max(initial=0),
    ]
    unit = max(m, n, 1) * float(np.finfo(real).eps)
    assert max(found) < MAX_ERROR * unit, np.array(found) / unit


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_of_every_shape(comm, dtype):
    for shape in SHAPES:
        check(comm, whole(shape, dtype), 4)


def test_every_layout(comm):
    x = whole((31, 37), "c16")
    for layout in layouts(x.shape, comm.size):
        check(comm, x, 3, layout)


def test_every_order_and_number(comm):
    p = comm.size
    for n in sorted({0, 1, 2, p - 1, p, p + 1, 25}):
        for k in sorted({0, 1, n // 2, n - 1, n} & set(range(n + 1))):
            for shape in sorted({(n, n), (n, n + 3), (n + 3, n)}):
                check(comm, whole(shape), k)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((33, 33), "f8"), ((47, 31), "f4"), ((31, 47), "c8"), ((47, 31), "c16")],
    ids=str,
)
def test_special_matrices(comm, shape, dtype):
    x, n = whole(shape, dtype), min(shape)
    power = 150 if x.real.dtype == float else 30
    grades = 10.0 ** -np.linspace(0, power, n)
    for special, k in [
        (np.zeros(shape), 4),
        (np.eye(*shape), 4),
        (with_values(shape, grades, dtype), 4),
        (
            with_values(shape, 10.0 ** -np.arange(n), dtype),
            4,
        ),  # rounding errors of A.H A
        (with_values(shape, np.ones(2), dtype), 4),  # of rank 2
        (
            with_values(shape, np.r_[np.full(4, 3.0), np.linspace(1, 0, n - 4)], dtype),
            4,
        ),
        (with_values(shape, 1 + 1e-7 * np.arange(n), dtype), 2),
        (x * 10.0**power, 4),
        (x * 10.0**-power, 4),
        (np.where(np.arange(shape[1]) == 1, x, 0), 4),
        (np.where(np.arange(shape[0])[:, None] == 1, x, 0), 4),
    ]:
        check(comm, special.astype(dtype), k)


def test_small_singular_values_among_the_largest_are_accurate(comm):
    """By the eigenvalues of A.H A, digits below 1e-8 would be rounding errors."""
    values = np.r_[1, 1e-6, 1e-10, 1e-11 * np.linspace(1, 0, 28)]
    for shape in SHAPES[1:]:
        found = svds(spread(comm, with_values(shape, values)), 3).S
        np.testing.assert_allclose(found, values[:3], rtol=1e-4)


def test_the_same_start_gives_the_same_bits(comm):
    a = spread(comm, whole((47, 31)))
    u, s, vh = svds(a, 3)
    same = svds(a, 3)
    np.testing.assert_array_equal(same.S, s)
    np.testing.assert_array_equal(same.U.local, u.local)
    np.testing.assert_array_equal(same.Vh.local, vh.local)
    np.testing.assert_array_equal(svds(a, 3, return_singular_vectors=False), s)
    check(comm, whole((47, 31)), 3, seed=1)
    other = svds(a, 3, seed=1).Vh
    assert comm.allreduce(not np.array_equal(other.local, vh.local)) > 0


def test_ranks_whose_sums_differ_decide_alike(comm, monkeypatch):
    """As ranks of two processor types, or after an all-reduce of unlike sums."""
    plain = OrthonormalBlocks.inner

    def inner(self, basis, block):
        return plain(self, basis, block) * (1 + 4e-16 * comm.rank)

    monkeypatch.setattr(OrthonormalBlocks, "inner", inner)
    for x in (whole((33, 33)), with_values((33, 33), np.ones(2))):
        check(comm, x, 4)
        found = comm.allgather(svds(spread(comm, x), 4).S)
        for values in found:
            np.testing.assert_array_equal(values, found[0])


def test_what_converged_is_in_the_error(comm):
    x = with_values((47, 33), np.r_[100, np.linspace(1, 0, 32)])
    a = spread(comm, x)
    with pytest.raises(
        SvdsNoConvergence, match=r"1 of 3 singular triplets .* maxiter=1 "
    ) as info:
        svds(a, 3, maxiter=1)
    assert exit_code(info.value) == 4
    u, s, vh = info.value.U, info.value.S, info.value.Vh
    np.testing.assert_allclose(s, [100])
    np.testing.assert_allclose(x @ np.asarray(vh).T, np.asarray(u) * s, atol=1e-6)
    with pytest.raises(SvdsNoConvergence):
        svds(a, 3, maxiter=1, return_singular_vectors=False)
    coarse = svds(a, 3, maxiter=1, tol=0.5).S
    np.testing.assert_allclose(coarse, [100, 1, 1], rtol=0.5)


@pytest.mark.parametrize("small", [0, 1000])
def test_unsuitable_arguments_are_refused_on_all_ranks(comm, small, monkeypatch):
    monkeypatch.setattr(module, "SMALL", small)
    x = whole((31, 47))
    a = spread(comm, x)
    x[7, 2] = np.nan
    for matrix, options, message in [
        (spread(comm, x), {}, r"element \(7, 2\) is nan"),
        (a, {"k": 32}, "k=32 singular values of a matrix of 31 x 47; expected 0 to 31"),
        (a, {"k": -1}, "k=-1"),
        (a, {"tol": -1.0}, "tol=-1"),
        (a, {"tol": np.nan}, "tol=nan"),
        (a, {"maxiter": 0}, "maxiter=0"),
        (a, {"k": 32 + comm.rank}, "k=3|disagree"),
    ]:
        with pytest.raises(ValueError, match=message):
            svds(matrix, **options)
    with pytest.raises(TypeError, match="bool"):
        svds(DistMatrix.zeros(comm, (3, 4), bool), 2)


def test_the_program_computes_the_largest(world):
    few = Options("svds", random=(47, 31), k=4, check=True)
    values = run(RunContext.make(world), few).values
    assert values["check"] < 10
    every = run(RunContext.make(world), Options("svd", random=(47, 31))).values
    np.testing.assert_allclose(values["singular_values"], every["singular_values"][:4])


def test_the_check_detects_wrong_vectors(comm):
    for shape in SHAPES:
        for x in (
            whole(shape, "c8"),
            with_values(shape, 10.0 ** -np.arange(31)),
            with_values(shape, np.ones(2)),
        ):
            a = spread(comm, x)
            v = np.asarray(svds(a, 4).Vh).conj().T
            assert singular_vector_error([a], spread(comm, v)) < 10
            if x.dtype == "c8":
                others = np.asarray(svds(a, 5).Vh).conj().T[:, 1:]
                assert singular_vector_error([a], spread(comm, others)) < 10
            for column, factor in ((0, 1 + 1e-3), (3, 0), (2, np.nan)):
                wrong = v.copy()
                wrong[:, column] *= factor
                with np.errstate(all="ignore"):
                    error = singular_vector_error([a], spread(comm, wrong))
                assert not error < 100
            turned = v.copy()
            turned[:, 0] += 1e-3 * turned[:, 1]
            assert singular_vector_error([a], spread(comm, turned)) > 100

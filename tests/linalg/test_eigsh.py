"""A few eigenvalues and vectors: small residuals, none missed, one end on all ranks."""

import numpy as np
import pytest

from mpiapps.app.context import RunContext
from mpiapps.base.errors import exit_code
from mpiapps.linalg import eigsh as module
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.eigsh import NoConvergence, eigsh
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.orthonormal_blocks import OrthonormalBlocks
from mpiapps.linalg.skinny_product import SkinnyProduct
from mpiapps.matrix import Options, run
from tests.linalg.cases import DTYPES, layouts, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]

N = 53
MAX_ERROR = 5  # in n eps |A|


@pytest.fixture(autouse=True)
def _distributed(monkeypatch):
    """Let all ranks compute also small matrices, with several restarts."""
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "MAX_DEPTH", 5)
    monkeypatch.setattr(module, "MIN_DEPTH", 5)


def hermitian(n, dtype="f8"):
    x = whole((n, n), dtype)
    return x + x.conj().T


def with_values(values, dtype="f8"):
    q = np.linalg.qr(whole((len(values),) * 2, dtype))[0].astype(dtype)
    x = (q * values) @ q.conj().T
    return ((x + x.conj().T) / 2).astype(dtype)


def wanted(values, k, which):
    """Return k of all values, ascending, by another way than the module's."""
    if which == "BE":
        low = k // 2
        return np.r_[values[:low], values[len(values) - (k - low) :]]
    key = {"LA": values, "SA": -values, "LM": np.abs(values)}[which]
    return np.sort(sorted(values, key=dict(zip(values, key, strict=True)).get)[-k:])


def check(comm, x, k, which="LA", layout=None, **options):
    a = spread(comm, x, layout)
    w, v = eigsh(a, k, which=which, **options)
    n, eps, real = len(x), np.finfo(x.dtype).eps, x.real.dtype
    assert (w.shape, w.dtype) == ((k,), real)
    assert (v.shape, v.dtype) == ((n, k), x.dtype)
    assert v.layout == Layout.balanced((n, k), comm.size)
    assert (np.diff(w) >= 0).all()
    np.testing.assert_array_equal(np.asarray(a), x)  # not changed
    size = float(np.abs(x).max(initial=0)) or 1.0
    wide = np.result_type(x.dtype, "f8")
    x, v, w = (x / size).astype(wide), np.asarray(v).astype(wide), w / float(size)
    values = np.linalg.eigvalsh(x)
    unit = max(n, 1) * eps
    size = np.abs(values).max(initial=0) or 1.0
    expected = wanted(values, k, which) if k else values[:0]
    if which == "LM":
        expected, w = np.abs(expected), np.abs(w)
        expected.sort()
        w = np.sort(w)
    found = [
        np.abs(w - expected).max(initial=0) / size / unit,
        np.abs(v.conj().T @ v - np.eye(k)).max(initial=0) / unit,
    ]
    if which != "LM":
        found.append(np.linalg.norm(x @ v - v * w, axis=0).max(initial=0) / size / unit)
    assert max(found) < MAX_ERROR, found


@pytest.mark.parametrize("dtype", DTYPES)
def test_pairs_of_both_ends(comm, dtype):
    x = hermitian(N, dtype)
    for k, which in ((1, "LA"), (5, "SA"), (3, "LM"), (3, "BE")):
        check(comm, x, k, which)


def test_every_layout(comm):
    for layout in layouts((N, N), comm.size):
        check(comm, hermitian(N, "c16"), 3, "LA", layout)


def test_every_order_and_number(comm):
    p = comm.size
    for n in sorted({0, 1, 2, 3, p - 1, p, p + 1, 4 * p, 25}):
        for k in sorted({0, 1, n // 2, n - 1, n} & set(range(n + 1))):
            check(comm, hermitian(n), k, "SA")


@pytest.mark.parametrize("dtype", ["f4", "c16"])
def test_special_matrices(comm, dtype):
    x = hermitian(N, dtype)
    power = 200 if x.real.dtype == float else 30
    many = np.r_[np.full(5, 3.0), np.linspace(-1, 1, N - 5)]
    for special, k in [
        (np.eye(N), 4),
        (np.zeros((N, N)), 4),
        (np.diag(10.0 ** -np.linspace(0, power, N)), 4),
        (np.diag(np.arange(N) % 3 - 1.0), 4),
        (x * 10.0**power, 4),
        (x * 10.0**-power, 4),
        (with_values(many, dtype), 3),
        (with_values(many, dtype), 5),
        (with_values(many, dtype), 7),
        (with_values(1 + 1e-7 * np.arange(N), dtype), 2),
        (with_values(np.arange(N) < 3, dtype), 5),
        (np.kron(np.eye(N), [[0, 1], [1, 0]])[:N, :N], 2),
    ]:
        check(comm, special.astype(dtype), k, "BE" if k == 3 else "LA")


def test_the_matrix_stays_where_it_is(comm):
    for layout in (Layout.balanced((N, N), comm.size), Layout.cyclic((N, N), 1, 3)):
        a = spread(comm, hermitian(N), layout)
        is_there = np.shares_memory(SkinnyProduct(a).local, a.local)
        assert is_there == (len(layout.ranks) == comm.size or comm.size == 1) or (
            not a.local.size
        )


def test_products_of_both_sides_in_any_layout(comm):
    x, y, z = whole((9, 7), "c16"), whole((7, 2), "c16"), whole((9, 2), "c16")
    for layout in layouts(x.shape, comm.size):
        product = SkinnyProduct(spread(comm, x, layout))
        scale = 2.0**-product.exponent
        found = product.rows.replicate(product.times(y))
        np.testing.assert_allclose(found, x @ y * scale, atol=1e-14)
        found = product.cols.replicate(product.adjoint_times(z))
        np.testing.assert_allclose(found, x.conj().T @ z * scale, atol=1e-14)


def test_the_same_start_gives_the_same_bits(comm):
    a = spread(comm, hermitian(N))
    w, v = eigsh(a, 3)
    same = eigsh(a, 3)
    np.testing.assert_array_equal(same.eigenvalues, w)
    np.testing.assert_array_equal(same.eigenvectors.local, v.local)
    np.testing.assert_array_equal(eigsh(a, 3, return_eigenvectors=False), w)
    for options in ({"seed": 1}, {"v0": np.arange(N)}):
        check(comm, hermitian(N), 3, **options)
        other = eigsh(a, 3, **options).eigenvectors
        assert comm.allreduce(not np.array_equal(other.local, v.local)) > 0


def test_ranks_whose_sums_differ_decide_alike(comm, monkeypatch):
    """As ranks of two processor types, or after an all-reduce of unlike sums."""
    plain = OrthonormalBlocks.inner

    def inner(self, basis, block):
        return plain(self, basis, block) * (1 + 4e-16 * comm.rank)

    monkeypatch.setattr(OrthonormalBlocks, "inner", inner)
    check(comm, hermitian(N), 5)
    check(comm, np.diag(np.arange(N) % 3 - 1.0), 4)
    found = comm.allgather(eigsh(spread(comm, hermitian(N)), 5).eigenvalues)
    for values in found:
        np.testing.assert_array_equal(values, found[0])


def test_what_converged_is_in_the_error(comm):
    values = np.r_[np.linspace(0, 1, N - 1), 100]
    a = spread(comm, with_values(values))
    with pytest.raises(NoConvergence, match=r"1 of 3 eigenpairs .* maxiter=1 ") as info:
        eigsh(a, 3, maxiter=1, tol=1e-9)
    assert exit_code(info.value) == 4
    np.testing.assert_allclose(info.value.eigenvalues, [100])
    v = np.asarray(info.value.eigenvectors)
    np.testing.assert_allclose(np.asarray(a) @ v, 100 * v, atol=1e-6)
    with pytest.raises(NoConvergence):
        eigsh(a, 3, maxiter=1, tol=1e-9, return_eigenvectors=False)
    coarse = eigsh(a, 3, maxiter=1, tol=0.5).eigenvalues
    np.testing.assert_allclose(coarse, values[-3:], rtol=0.5)


@pytest.mark.parametrize("small", [0, 1000])
def test_unsuitable_arguments_are_refused_on_all_ranks(comm, small, monkeypatch):
    monkeypatch.setattr(module, "SMALL", small)
    x = hermitian(N)
    a = spread(comm, x)
    bad = x.copy()
    bad[7, 2] = np.nan
    for matrix, options, message in [
        (spread(comm, bad), {}, r"element \(7, 2\) is nan"),
        (DistMatrix.zeros(comm, (3, 4)), {}, "3 x 4; expected a square"),
        (spread(comm, np.tril(x)), {"k": 2}, "the matrix is not Hermitian"),
        (spread(comm, 1j * x), {"k": 2}, "the matrix is not Hermitian"),
        (a, {"k": N + 1}, f"k={N + 1} eigenvalues of an order of {N}"),
        (a, {"k": -1}, "k=-1"),
        (a, {"which": "SM"}, "which='SM': expected one of LM, LA, SA, BE"),
        (a, {"tol": -1.0}, "tol=-1"),
        (a, {"tol": np.nan}, "tol=nan"),
        (a, {"maxiter": 0}, "maxiter=0"),
        (a, {"v0": np.zeros(N)}, "v0 has the shape"),
        (a, {"v0": np.ones(3)}, "v0 has the shape"),
        (a, {"v0": np.full(N, 1j)}, "v0 is complex"),
        (a, {"k": 1 + comm.rank}, "k=|disagree" if comm.size > 1 else "k=9"),
    ]:
        if comm.size == 1 and options == {"k": 1}:
            continue
        with pytest.raises(ValueError, match=message):
            eigsh(matrix, **options)


def test_the_program_computes_those_of_the_lower_triangle(world):
    few = Options("eigsh", random=(N,), k=4, which="SA", check=True)
    values = run(RunContext.make(world), few).values
    assert values["check"] < 10
    every = run(RunContext.make(world), Options("eigh", random=(N,))).values
    np.testing.assert_allclose(values["eigenvalues"], every["eigenvalues"][:4])

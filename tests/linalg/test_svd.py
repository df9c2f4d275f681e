"""Singular values and vectors: small residuals for any shape, on any ranks."""

import numpy as np
import pytest

from mpiapps.base.errors import Checkpointed, InputError
from mpiapps.kernels import bidiagonal
from mpiapps.linalg import reduction_checkpoint
from mpiapps.linalg import svd as module
from mpiapps.linalg.result_checks import singular_value_error
from mpiapps.linalg.svd import singular_values, svd
from tests.linalg.cases import DTYPES, layouts, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]

N = 70  # more than two panels
MAX_ERROR = 5  # in max(m, n) eps |A|; LAPACK's tests accept 50


@pytest.fixture(autouse=True)
def _distributed(monkeypatch):
    """Let all ranks compute also small matrices."""
    monkeypatch.setattr(module, "SMALL", 0)


def check(comm, x, layout=None):
    """Compare residual, orthogonality and values with the rounding error."""
    k, real = min(x.shape), x.real.dtype
    a = spread(comm, x, layout)
    u, s, vh = svd(a)
    assert (u.shape, s.shape, vh.shape) == ((len(x), k), (k,), (k, x.shape[1]))
    assert (u.dtype, s.dtype, vh.dtype) == (x.dtype, real, x.dtype)
    assert (np.diff(s) <= 0).all()
    assert (s >= 0).all()
    np.testing.assert_array_equal(np.asarray(a), x)  # not changed
    largest = float(np.abs(x).max(initial=0)) or 1.0
    wide = np.result_type(x.dtype, "f8")
    x, u, vh = (x / largest).astype(wide), np.asarray(u), np.asarray(vh)
    values = [v.astype(float) / largest for v in (s, singular_values(a))]
    expected = np.linalg.svd(x, compute_uv=False)
    unit = np.finfo(real).eps * max(1, *x.shape)
    u, vh = u.astype(wide), vh.astype(wide)
    size = expected.max(initial=0) or 1
    found = [
        *(np.abs(v - expected).max(initial=0) / size for v in values),
        np.linalg.norm(u * values[0] @ vh - x) / size,
        np.abs(u.conj().T @ u - np.eye(k)).max(initial=0),
        np.abs(vh @ vh.conj().T - np.eye(k)).max(initial=0),
    ]
    assert max(found) < MAX_ERROR * unit, np.array(found) / unit


@pytest.mark.parametrize("dtype", DTYPES)
def test_residuals_of_every_shape(comm, dtype):
    p = comm.size
    orders = sorted({0, 1, 2, p - 1, p, p + 1, 33})
    shapes = [(n, n) for n in orders] + [(N, N - 3), (N, 1), (0, 3)]
    for m, n in shapes:
        for shape in sorted({(m, n), (n, m)}):
            check(comm, whole(shape, dtype))
    tall = (2 * p * 9, 9)  # by QR first
    for shape in ((40, 37), tall, tall[::-1]):
        for layout in layouts(shape, p):
            check(comm, whole(shape, dtype), layout)


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_matrices(comm, dtype):
    x = whole((N, N), dtype)
    power = 150 if x.real.dtype == float else 30
    grades = 10.0 ** -np.linspace(0, power, N)
    left, right = (np.linalg.qr(whole((N, N), dtype, seed))[0] for seed in (1, 2))
    values = [grades, 1.0 * (np.arange(N) < 3), 1 + 1e-7 * (np.arange(N) % 3)]
    for special in [
        *(np.eye(N), np.zeros((N, N)), np.diag(grades), np.eye(N, k=1)),
        *(x * 10.0**power, x * 10.0**-power, np.tril(x)),
        *(grades[:, None] * x, x * grades, grades[::-1, None] * x * grades),
        *((left * value) @ right for value in values),
        np.where(np.arange(N) % 2, x, 0),
    ]:
        check(comm, special.astype(dtype))


def test_small_singular_values_are_as_accurate_as_those_of_lapack(comm):
    left, right = (np.linalg.qr(whole((N, N), seed=seed))[0] for seed in (1, 2))
    values = np.geomspace(1, 1e-12, N)  # squared, half of them were rounding errors
    for x in ((left * values) @ right, ((left * values) @ right)[:, : N // 3]):
        expected = np.linalg.svd(x, compute_uv=False)
        for found in (svd(spread(comm, x)).S, singular_values(spread(comm, x))):
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("small", [0, 1000])
def test_numpy_functions(comm, small, monkeypatch):
    monkeypatch.setattr(module, "SMALL", small)
    x = whole((9, 7), "c16")
    check(comm, x)
    check(comm, x.T)
    a = spread(comm, x)
    result = np.linalg.svd(a, full_matrices=False)
    np.testing.assert_allclose((result.U * result.S @ result.Vh).to_all(), x)
    for s in (np.linalg.svdvals(a), np.linalg.svd(a, compute_uv=False)):
        np.testing.assert_allclose(s, np.linalg.svd(x, compute_uv=False))
    assert np.linalg.svd(a[:7]).U.shape == (7, 7)
    for call in (np.linalg.svd, lambda a: np.linalg.svd(a, hermitian=True)):
        with pytest.raises(TypeError, match="not available; use"):
            call(a)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nonfinite_matrices_are_refused_on_all_ranks(comm, value):
    x = whole((9, 8))
    x[8, 2] = value
    for call in (svd, singular_values):
        with pytest.raises(ValueError, match="all must be finite"):
            call(spread(comm, x))


def test_an_order_beyond_lapacks_integers_is_refused(comm, monkeypatch):
    monkeypatch.setattr(bidiagonal, "MAX_ORDER", 5)
    a = spread(comm, whole((7, 6)))
    with pytest.raises(ValueError, match="order 6: LAPACK computes at most 5"):
        svd(a)
    assert singular_values(a).shape == (6,)


@pytest.mark.parametrize("shape", [(40, 40), (40, 9), (9, 40)])
def test_the_check_detects_wrong_values(comm, shape):
    for dtype in DTYPES:
        a = spread(comm, whole(shape, dtype))
        s = singular_values(a)[:, None]
        assert singular_value_error([a], spread(comm, s)) < 10
        for factor in (1 + 1e-3, 0, np.nan):
            wrong = s.copy()
            wrong[4] *= factor
            assert not singular_value_error([a], spread(comm, wrong)) < 100


@pytest.fixture
def path(comm, tmp_path_factory):
    """A file that all ranks share."""
    return comm.bcast(tmp_path_factory.mktemp("saved") / "data")


@pytest.mark.parametrize("of_r", [True, False])
def test_a_reduction_is_continued_as_it_was_scaled(comm, path, of_r, monkeypatch):
    """On other ranks R may take the place of A, or no longer."""
    x = 1e3 * whole((3 * N, N))
    a = spread(comm, x)

    def on_panel(state):
        raise Checkpointed(reduction_checkpoint.save(state, path))

    monkeypatch.setattr(module, "_is_tall", lambda _: of_r)
    with pytest.raises(Checkpointed) as info:
        singular_values(a, on_panel=on_panel)
    state = info.value.args[0]
    partial = reduction_checkpoint.load(comm, path, state)
    monkeypatch.setattr(module, "_is_tall", lambda _: not of_r)
    values = singular_values(a, partial=partial)
    np.testing.assert_allclose(values, np.linalg.svd(x)[1], rtol=1e-12)
    with pytest.raises(InputError, match="of an earlier version"):
        state.pop("exponent")
        reduction_checkpoint.load(comm, path, state)

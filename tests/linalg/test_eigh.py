"""Eigenvalues and vectors: small residuals on any number of ranks."""

import numpy as np
import pytest
import scipy.linalg

from mpiapps.base.errors import Checkpointed, InputError
from mpiapps.linalg import eigh as module
from mpiapps.linalg import reduction_checkpoint
from mpiapps.linalg import svd as svd_module
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.divide_conquer import eigh_tridiagonal
from mpiapps.linalg.eigh import eigh, eigvalsh
from mpiapps.linalg.result_checks import eigenvector_error
from mpiapps.linalg.svd import singular_values
from tests.linalg.cases import DTYPES, layouts, spread, whole

pytestmark = pytest.mark.mpi

N = 70  # more than two panels
MAX_ERROR = 5  # in n eps |A|; LAPACK's tests accept 30


@pytest.fixture(autouse=True)
def _distributed(monkeypatch):
    """Let all ranks compute also small matrices."""
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "SMALL_VALUES", 0)


def hermitian(n, dtype="f8"):
    x = whole((n, n), dtype)
    return x + x.conj().T


def with_values(values, dtype):
    q = np.linalg.qr(whole((len(values),) * 2, dtype))[0].astype(dtype)
    x = (q * values) @ q.conj().T
    return ((x + x.conj().T) / 2).astype(dtype)


def errors(x, w, v):
    """Return residual, orthogonality and error of the values in units of n eps |A|."""
    n, eps = len(x), np.finfo(x.dtype).eps
    largest = float(np.abs(x).max(initial=0)) or 1.0
    wide = np.result_type(x.dtype, "f8")
    x, v, w = (x / largest).astype(wide), v.astype(wide), w.astype(float) / largest
    size = np.abs(x).sum(axis=0).max(initial=0) or 1
    unit = max(1, n) * eps
    return [
        np.abs(x @ v - v * w).sum(axis=0).max(initial=0) / size / unit,
        np.abs(v.conj().T @ v - np.eye(n)).sum(axis=0).max(initial=0) / unit,
        np.abs(w - np.linalg.eigvalsh(x)).max(initial=0) / size / unit,
    ]


def check(comm, x, layout=None):
    a = spread(comm, x, layout)
    w, v = eigh(a)
    assert w.dtype == x.real.dtype
    assert v.dtype == x.dtype
    assert (np.diff(w) >= 0).all()
    found = [*errors(x, w, np.asarray(v)), errors(x, eigvalsh(a), np.eye(len(x)))[2]]
    assert max(found) < MAX_ERROR, found
    np.testing.assert_array_equal(np.asarray(a), x)  # not changed


@pytest.mark.parametrize("dtype", DTYPES)
def test_residuals_of_every_order(comm, dtype):
    p = comm.size
    for n in sorted({0, 1, 2, 3, p - 1, p, p + 1, 64, 65, N, 8 * p + 1}):
        check(comm, hermitian(n, dtype))
    for layout in layouts((N, N), comm.size):
        check(comm, hermitian(N, dtype), layout)


@pytest.mark.one_mpi
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_matrices(comm, dtype):
    x = hermitian(N, dtype)
    power = 150 if x.real.dtype == float else 30
    grades = 10.0 ** -np.linspace(0, power, N)
    cluster = np.r_[np.ones(N - 3) + 1e-7 * np.arange(N - 3), 2, 3, -1]
    for special in [
        np.eye(N),
        np.zeros((N, N)),
        np.diag(grades),
        x * 10.0**power,
        x * 10.0**-power,
        grades[:, None] * x * grades,
        grades[::-1, None] * x * grades[::-1],
        with_values(cluster, dtype),
        with_values(np.arange(N) < 3, dtype),
        2 * np.eye(N) - np.eye(N, k=1) - np.eye(N, k=-1),
    ]:
        check(comm, special.astype(dtype))


@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_only_one_triangle_is_read(comm, dtype):
    x = hermitian(N, dtype)
    for uplo, other in (("L", np.triu), ("U", np.tril)):
        bad = x + other(np.full((N, N), np.nan), 1 if uplo == "L" else -1)
        for call in (module.eigvalsh, np.linalg.eigvalsh):
            w = call(spread(comm, bad), UPLO=uplo)
            np.testing.assert_allclose(w, np.linalg.eigvalsh(x), atol=1e-11)
        w, v = np.linalg.eigh(spread(comm, bad), UPLO=uplo)
        assert max(errors(x, w, np.asarray(v))) < MAX_ERROR


@pytest.mark.parametrize("small", [0, 1000])
def test_the_result_is_that_of_one_rank_below_some_order(comm, small, monkeypatch):
    monkeypatch.setattr(module, "SMALL", small)
    monkeypatch.setattr(module, "SMALL_VALUES", small)
    check(comm, hermitian(9, "c16"))
    result = eigh(spread(comm, hermitian(9)))
    np.testing.assert_array_equal(result.eigenvalues, result[0])
    assert isinstance(result.eigenvectors, DistMatrix)


@pytest.mark.parametrize("n", [1, 2, 21, 200])
@pytest.mark.parametrize("weak", [1, 1e-8, 1e-17, 0])
def test_divide_and_conquer_of_glued_wilkinson_matrices(comm, n, weak):
    diagonal = np.abs(np.arange(n) % 21 - 10.0)
    off_diagonal = np.where(np.arange(1, n) % 21 == 0, weak, 1.0)
    found = eigh_tridiagonal(comm, diagonal, off_diagonal, np.dtype("f8"))
    v = np.vstack(comm.allgather(found.vectors))
    t = np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)
    assert max(errors(t, found.values, v)) < MAX_ERROR


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_unsuitable_matrices_are_refused_on_all_ranks(comm, value):
    x = hermitian(9)
    x[7, 2] = value
    for call in (eigh, eigvalsh):
        with pytest.raises(ValueError, match=r"element \(7, 2\) is"):
            call(spread(comm, x))
        with pytest.raises(ValueError, match="3 x 4; expected a square"):
            call(DistMatrix.zeros(comm, (3, 4)))
        with pytest.raises(ValueError, match="UPLO"):
            call(spread(comm, x), UPLO="X")
        with pytest.raises(ValueError, match="A is 9 x 9 and B 3 x 3"):
            call(spread(comm, x), DistMatrix.eye(comm, 3))
        with pytest.raises(np.linalg.LinAlgError, match="minor of order 8 is not"):
            call(DistMatrix.eye(comm, 9), spread(comm, np.diag(7.0 - np.arange(9))))


@pytest.mark.parametrize("dtype", DTYPES)
def test_generalised_problems(comm, dtype):
    for n in sorted({0, 1, comm.size + 1, N}):
        x, y = hermitian(n, dtype), hermitian(n, dtype)
        y = (y @ y.conj().T + n * np.eye(n)).astype(dtype)
        for uplo, half in (("L", np.tril), ("U", np.triu)):
            a, b = spread(comm, half(x)), spread(comm, half(y))
            w, v = eigh(a, b, UPLO=uplo)
            assert w.dtype == x.real.dtype
            assert v.dtype == x.dtype
            if uplo == "L":
                assert eigenvector_error([a, b], v) < 20
            v, unit = np.asarray(v).astype("c16"), n * np.finfo(x.dtype).eps
            unit *= np.linalg.cond(y) if n else 1
            np.testing.assert_allclose(v.conj().T @ y @ v, np.eye(n), atol=unit)
            expected = scipy.linalg.eigh(x, y, eigvals_only=True) if n else w
            unit *= np.abs(expected).max(initial=0)
            np.testing.assert_allclose(w, expected, atol=unit)
            np.testing.assert_allclose(x @ v, y @ v * w, atol=unit * n)
            values = eigvalsh(a, b, UPLO=uplo)
            np.testing.assert_allclose(values, expected, atol=unit)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_second_matrix_may_be_an_array(comm, dtype):
    x, y = hermitian(9, dtype), np.diag(np.arange(1, 10)).astype(dtype)
    a, b = spread(comm, x), spread(comm, y)
    for array in (y, y.real.astype(int), y.real.tolist()):
        np.testing.assert_allclose(eigvalsh(a, array), eigvalsh(a, b), 1e-5, 1e-5)
    for found, expected in zip(eigh(a, y), eigh(a, b), strict=True):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    with pytest.raises(ValueError, match="A is 9 x 9 and B 9 x 1; expected"):
        eigh(a, y[0])
    with pytest.raises(TypeError, match="expected numbers"):
        eigh(a, "B")


def test_operands_of_two_dtypes(comm):
    x, y = hermitian(9, "f4"), 9 * np.eye(9) + 1j * np.tri(9, k=-1)
    w, v = eigh(spread(comm, x), spread(comm, y))
    assert (w.dtype, v.dtype) == (np.dtype("f8"), np.dtype("c16"))
    expected = scipy.linalg.eigh(x.astype(float), y, eigvals_only=True)
    np.testing.assert_allclose(w, expected, atol=1e-13)


def test_the_check_detects_wrong_vectors(comm):
    for dtype in DTYPES:
        a = spread(comm, hermitian(N, dtype))
        _, v = eigh(a)
        assert eigenvector_error([a], v) < 10
        b = DistMatrix.eye(comm, N, dtype) * 2
        assert eigenvector_error([a, b], v * 2**-0.5) < 10
        assert eigenvector_error([a, b], v) > 100
        right = np.asarray(v)
        for factor, other in ((0, 1), (1, 1e-2), (np.nan, 0)):
            wrong = right.copy()
            wrong[:, 3] = factor * right[:, 3] + other * right[:, 4]
            assert not eigenvector_error([a], spread(comm, wrong)) < 100


@pytest.fixture
def path(comm, tmp_path_factory):
    """A file that all ranks share."""
    return comm.bcast(tmp_path_factory.mktemp("saved") / "data")


def interrupted(compute, a, path):
    """Yield what is loaded after each panel, and compute what was left of it."""
    saved = []
    straight = compute(a, on_panel=lambda state: saved.append(state.done))
    for stop in saved:

        def on_panel(state, stop=stop):
            if state.done == stop:
                raise Checkpointed(reduction_checkpoint.save(state, path))

        with pytest.raises(Checkpointed) as info:
            compute(a, on_panel=on_panel)
        state = info.value.args[0]
        partial = reduction_checkpoint.load(a.comm, path, state)
        assert partial.done == stop
        yield straight, compute(a, partial=partial), state


@pytest.mark.parametrize("dtype", ["f4", "c16"])
def test_eigh_resumes_from_any_panel_with_the_same_bits(comm, path, dtype):
    a = spread(comm, hermitian(N, dtype))
    found = list(interrupted(eigh, a, path))
    for straight, again, _ in found:
        np.testing.assert_array_equal(again.eigenvalues, straight.eigenvalues)
        np.testing.assert_array_equal(
            again.eigenvectors.local, straight.eigenvectors.local
        )
    assert len(found) == -(-N // 32)
    comm.Barrier()
    if comm.rank == 0:
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes(data)
    comm.Barrier()
    with pytest.raises(InputError, match="is damaged"):
        reduction_checkpoint.load(comm, path, found[-1][2])


def test_one_rank_resumes_what_several_saved(comm, path):
    """And computes as accurately: only the order of summation differs."""
    x = hermitian(N, "c16")
    for _, _, state in interrupted(eigh, spread(comm, x), path):
        comm.Barrier()
        alone = comm.Split(comm.rank)
        partial = reduction_checkpoint.load(alone, path, state)
        w, v = eigh(spread(alone, x), partial=partial)
        found = errors(x, w, np.asarray(v))
        alone.Free()
        assert max(found) < MAX_ERROR, found


@pytest.mark.parametrize("shape", [(N, N - 3), (N - 3, N)])
def test_singular_values_resume_with_the_same_bits(comm, path, shape, monkeypatch):
    monkeypatch.setattr(svd_module, "SMALL", 0)
    a = spread(comm, whole(shape))
    panels = 0
    for straight, again, _ in interrupted(singular_values, a, path):
        panels += 1
        np.testing.assert_array_equal(again, straight)
    assert panels == -(-(N - 3) // 32)

"""Matrices on a GPU against those in host memory: `make test-gpu`.

These tests run CuPy itself, where there is a device, on one rank.
"""

import numpy as np
import pytest

from mpiapps import matrix
from mpiapps.app.context import RunContext
from mpiapps.comm import device_messages
from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.devices import use_device
from mpiapps.linalg.lu import lu
from mpiapps.linalg.multiply import gram, multiply
from mpiapps.linalg.solve import solve
from tests.linalg.cases import close, layouts, spread, whole
from tests.linalg.test_factors import positive

pytestmark = pytest.mark.gpu
DTYPES = ["f4", "f8", "c8", "c16"]
SIZES = [(300, 20, 40), (20, 300, 40), (31, 37, 1500), (1, 1, 1), (0, 3, 4), (3, 4, 0)]


@pytest.fixture
def comm(world):
    """The communicator, and the device of this rank."""
    use_device(world)
    return world.comm


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", SIZES)
def test_products(comm, sizes, dtype):
    m, n, k = sizes
    x, y, z = whole((m, k), dtype), whole((k, n), dtype), whole((m, n), dtype)
    for layout in layouts(x.shape, comm.size):
        a, b, c = (spread(comm, each).to_device() for each in (x, y, z))
        a = a.redistribute(layout)
        close((a @ b).to_host(), x @ y)
        expected = (2 * (x @ y) - 3 * z).astype(dtype)
        close(multiply(a, b, c, alpha=2, beta=-3).to_host(), expected)


def test_single_precision_is_not_rounded_to_tf32(comm):
    x, y = whole((256, 256), "f4"), whole((256, 256), "f4", 1)
    found = spread(comm, x).to_device() @ spread(comm, y).to_device()
    error = np.abs(found.to_all() - x.astype("f8") @ y).max()
    assert error < 1e-4  # TF32 has 10 bits: some 1e-2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(300, 20), (20, 300), (3000, 2100), (1, 1), (0, 3)])
def test_gram_matrices_are_exactly_hermitian(comm, shape, dtype):
    x = whole(shape, dtype)
    found = gram(spread(comm, x).to_device()).to_all()
    assert (found == found.conj().T).all()
    close(spread(comm, found), x.conj().T @ x, 500)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block", [None, 7, 64])
def test_factors(comm, block, dtype):
    x = positive(200, dtype)
    close(cholesky(spread(comm, x).to_device(), block).to_host(), np.linalg.cholesky(x))
    x = whole((200, 200), dtype)
    found = lu(spread(comm, x).to_device(), block)
    factors = found.factors.to_all()
    lower, upper = np.tril(factors, -1) + np.eye(200), np.triu(factors)
    close(spread(comm, (lower @ upper).astype(dtype)), x[found.rows], 5000)


@pytest.mark.parametrize("block", [None, 7])
def test_errors_are_those_of_the_host(comm, block):
    x = np.eye(20)
    x[8, 8] = -1
    with pytest.raises(np.linalg.LinAlgError, match="order 9"):
        cholesky(spread(comm, x).to_device(), block)
    x[:, 8] = 0
    with pytest.raises(np.linalg.LinAlgError, match="column 8"):
        lu(spread(comm, x).to_device(), block)
    x[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"element \(3, 4\) is nan"):
        lu(spread(comm, x).to_device(), block)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["general", "positive"])
def test_solutions(comm, kind, dtype):
    x, y = positive(200, dtype), whole((200, 9), dtype)
    found = solve(spread(comm, x).to_device(), spread(comm, y).to_device(), kind=kind)
    rest = np.abs(x @ found.to_all() - y).max()
    assert rest <= 4000 * np.finfo(dtype).eps * np.abs(x).max()


@pytest.mark.parametrize("operation", ["multiply", "gram", "cholesky", "solve"])
def test_the_program(world, operation):
    sizes = (300, 200, 100) if operation == "multiply" else (300,)
    options = matrix.Options(operation, random=sizes, device="cuda", check=True)
    values = matrix.run(RunContext.make(world), options).values
    assert values["check"] < 10


@pytest.mark.parametrize("way", device_messages.WAYS, ids="by {}".format)
def test_messages_to_this_rank(comm, monkeypatch, way):
    """Each way that works on this host; a message from a rank to itself."""
    from mpiapps.device.arrays import to_device, to_host

    if way == "mpi" and not device_messages._takes_device_buffers(comm):
        way = "host"
    monkeypatch.setenv(device_messages.VARIABLE, way)
    duplicate = comm.Dup()
    messages = device_messages.device_messages(duplicate)
    sent, received = to_device(whole((9, 8))), to_device(np.zeros((9, 8)))
    messages.exchange(0, sent, 0, received)
    messages.start_bcast(received, 0)()
    duplicate.Free()
    assert (to_host(received) == whole((9, 8))).all()

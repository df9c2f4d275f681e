"""Arrays of shape (n,) in files: operands and results as in NumPy."""

import h5py
import numpy as np
import pytest

from mpiapps.base.errors import InputError
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.files import read_operands, write

pytestmark = pytest.mark.mpi


def load(file):
    if file.endswith(".npy"):
        return np.load(file)
    with h5py.File(file) as stream:
        return stream["matrix"][()]


@pytest.fixture(params=["npy", "h5"])
def suffix(request):
    return request.param


@pytest.fixture
def file(comm, tmp_path_factory, suffix):
    folder = comm.bcast(tmp_path_factory.mktemp("vectors"))
    return lambda name: f"{folder}/{name}.{suffix}"


@pytest.mark.parametrize("shape", [(5, 1), (1, 5), (1, 1), (0, 1)])
def test_a_vector_keeps_its_shape(comm, file, shape):
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    write(file("x"), DistMatrix.from_all(comm, values), vector=True)
    np.testing.assert_array_equal(load(file("x")), values.ravel(), strict=True)
    write(file("column"), DistMatrix.from_all(comm, values))
    assert load(file("column")).shape == shape


def test_the_side_of_a_vector_decides(comm, file):
    a = DistMatrix.from_all(comm, np.ones((3, 3)))
    x = DistMatrix.from_all(comm, np.arange(3.0)[:, None])
    write(file("a"), a)
    write(file("x"), x, vector=True)
    for names, shapes in (("ax", [(3, 3), (3, 1)]), ("xa", [(1, 3), (3, 3)])):
        operands, vector = read_operands(comm, [*map(file, names)], vectors=True)
        assert [each.shape for each in operands] == shapes
        assert vector
    operands, vector = read_operands(comm, [file("x")], vectors=False)
    assert (operands[0].shape, vector) == ((3, 1), False)
    operands, vector = read_operands(comm, [file("a")] * 2, vectors=True)
    assert not vector
    with pytest.raises(InputError, match=r"vectors of shape \(n,\)"):
        read_operands(comm, [file("x")] * 2, vectors=True)

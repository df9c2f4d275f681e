"""Operands of shape (n,) keep NumPy's shapes, in Python and in files."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from mpiapps.base.errors import InputError
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.files import read, read_operands, write
from mpiapps.linalg.operations import find_operation
from mpiapps.linalg.solve import factorise, solve
from tests.linalg.cases import DTYPES, layouts, whole

pytestmark = pytest.mark.mpi


@pytest.fixture
def directory(comm, tmp_path_factory):
    """A directory that all ranks share."""
    return Path(comm.bcast(str(tmp_path_factory.mktemp("vectors"))))


def saved(comm, path, array):
    if comm.rank == 0 and path.suffix == ".npy":
        np.save(path, array)
    elif comm.rank == 0:
        with h5py.File(path, "w") as file:
            file["x"] = array
    comm.Barrier()
    return str(path)


def loaded(path):
    if path.suffix == ".npy":
        return np.load(path)
    with h5py.File(path) as file:
        return file["matrix"][...]


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_files_of_products_and_solutions_have_the_shapes_of_numpy(
    comm, directory, suffix, dtype
):
    a = whole((5, 5), dtype) + 5 * np.eye(5, dtype=dtype)
    b, x = whole((5, 3), dtype, 1), whole((1, 5), dtype, 2)[0]
    file = {
        name: saved(comm, directory / f"{name}{suffix}", array)
        for name, array in {
            "a": a, "b": b, "x": x, "row": x[None, :], "column": x[:, None]
        }.items()
    }  # fmt: skip
    out = directory / f"out{suffix}"
    for name, operands, expected in [
        ("multiply", ("a", "x"), a @ x),
        ("multiply", ("x", "b"), x @ b),
        ("multiply", ("a", "column"), a @ x[:, None]),
        ("multiply", ("row", "b"), x[None, :] @ b),
        ("solve", ("a", "x"), np.linalg.solve(a, x)),
        ("solve", ("a", "column"), np.linalg.solve(a, x[:, None])),
    ]:
        operation = find_operation(name)
        matrices, vector = read_operands(
            comm, [file[key] for key in operands], vectors=operation.vectors
        )
        factors = factorise(matrices[0]) if operation.factors else None
        result, _ = operation.compute(matrices, factors)
        write(str(out), result, vector=vector)
        found = loaded(out)
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        tolerance = 100 * np.finfo(dtype).eps
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        comm.Barrier()
    matrices, vector = read_operands(comm, [file["x"]], vectors=False)
    assert (matrices[0].shape, vector) == ((5, 1), False)
    with pytest.raises(InputError, match=r"vectors of shape \(n,\)"):
        read_operands(comm, [file["x"], file["x"]], vectors=True)


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_a_row_and_a_column_are_written_as_vectors(comm, directory, suffix, n):
    for shape in [(n, 1), (1, n)]:
        for layout in layouts(shape, comm.size):
            x, out = whole(shape), directory / f"out{suffix}"
            write(str(out), DistMatrix.from_all(comm, x, layout), vector=True)
            np.testing.assert_array_equal(loaded(out), x.ravel())
            np.testing.assert_array_equal(read(comm, str(out)), x.reshape(n, 1))
            comm.Barrier()


def test_vectors_in_python(comm):
    x, v = whole((5, 5)) + 5 * np.eye(5), whole((5, 1), seed=1)[:, 0]
    for layout in [None, *layouts((5, 5), comm.size)]:
        a = DistMatrix.from_all(comm, x, layout)
        for found, expected in [
            (a @ v, x @ v),
            (v @ a, v @ x),
            (solve(a, v), np.linalg.solve(x, v)),
            (a @ v[:, None], x @ v[:, None]),
            (v[None, :] @ a, v[None, :] @ x),
            (solve(a, v[:, None]), np.linalg.solve(x, v[:, None])),
        ]:
            assert found.shape == expected.shape
            assert isinstance(found, DistMatrix) == (expected.ndim == 2)
            np.testing.assert_allclose(found, expected)

"""Blocks of n-dimensional .npy files: what NumPy reads and writes."""

import numpy as np
import pytest

from mpiapps.base.errors import InputError
from mpiapps.comm.cartesian import CartGrid
from mpiapps.linalg.npy_blocks import read_npy_block, write_npy_block

pytestmark = pytest.mark.mpi

CASES = [
    ((5, 4, 3), np.float16),  # written by the root, read by rows
    ((3, 1, 700_000), np.float16),  # long runs: each rank its own elements
    ((600, 30, 40), ">f8"),  # short runs: contiguous parts, and redistributed
    ((1,), np.complex64),
    ((0, 4), np.int32),
    ((2, 3), np.dtype([("a", "f4"), ("b", "S3")])),
]


@pytest.fixture
def directory(comm, tmp_path):
    """Return one directory for all ranks."""
    return comm.bcast(tmp_path)


@pytest.mark.parametrize(("shape", "dtype"), CASES, ids=str)
def test_blocks_are_those_of_numpy(comm, directory, shape, dtype):
    numbers = np.arange(np.prod(shape, dtype=int)) % 1000
    whole = numbers.astype(dtype).reshape(shape)
    last = (*(1,) * (len(shape) - 1), comm.size)
    for dims in None, last:
        with CartGrid(comm, shape, dims=dims) as grid:
            block = whole[grid.slices_of(comm.rank)]
            write_npy_block(directory / "a.npy", grid, block)
            stored = np.load(directory / "a.npy")
            assert stored.tobytes() == whole.tobytes()
            assert stored.dtype == whole.dtype
            back = read_npy_block(grid, directory / "a.npy")
            assert back.tobytes() == block.tobytes()
            assert back.shape == block.shape
            comm.Barrier()


def test_other_files_are_errors_on_all_ranks(comm, directory):
    files = {
        "has shape": np.zeros((3, 4)),
        "Fortran order": np.zeros((4, 3), order="F"),
        "objects": np.full((4, 3), None),
    }
    with CartGrid(comm, (4, 3)) as grid:
        for message, array in files.items():
            if comm.rank == 0:
                np.save(directory / "b.npy", array)
            comm.Barrier()
            with pytest.raises(InputError, match=message):
                read_npy_block(grid, directory / "b.npy")
            comm.Barrier()
        with pytest.raises(ValueError, match="has shape"):
            write_npy_block(directory / "b.npy", grid, np.zeros((9, 9)))

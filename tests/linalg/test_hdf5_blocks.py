"""Blocks of n-dimensional HDF5 datasets: what h5py reads and writes."""

import h5py
import numpy as np
import pytest

from mpiapps.base.errors import FileAccessError, InputError
from mpiapps.comm.cartesian import CartGrid
from mpiapps.linalg.hdf5_blocks import read_hdf5_block, write_hdf5_block

pytestmark = pytest.mark.mpi

CASES = [
    ((5, 4, 3), np.float16),  # written by the root
    ((3, 1, 700_000), np.float16),  # long runs: each rank its own elements
    ((600, 30, 40), ">f8"),  # short runs: redistributed
    ((1,), np.complex64),
    ((0, 4), np.int32),
    ((2, 3, 2, 2), bool),
]


@pytest.fixture
def directory(comm, tmp_path):
    """Return one directory for all ranks."""
    return comm.bcast(tmp_path)


def array(shape, dtype):
    return (np.arange(np.prod(shape, dtype=int)) % 1000).astype(dtype).reshape(shape)


@pytest.mark.parametrize(("shape", "dtype"), CASES, ids=str)
def test_blocks_are_those_of_h5py(comm, directory, shape, dtype):
    path, whole = directory / "a.h5", array(shape, dtype)
    last = (*(1,) * (len(shape) - 1), comm.size)
    for dims in None, last:
        with CartGrid(comm, shape, dims=dims) as grid:
            block = whole[grid.slices_of(comm.rank)]
            write_hdf5_block(path, grid, block)
            with h5py.File(path) as file:
                stored = file["array"][...]
            assert stored.tobytes() == whole.tobytes()
            assert stored.dtype == whole.dtype
            back = read_hdf5_block(grid, path)
            assert back.tobytes() == block.tobytes()
            assert back.shape == block.shape
            comm.Barrier()


def test_compressed_chunks_and_other_contents(comm, directory):
    path, whole = directory / "b.h5", array((9, 7, 5), "f4")
    if comm.rank == 0:
        with h5py.File(path, "w") as file:
            file.create_dataset("in", data=whole, chunks=(2, 3, 4), compression="gzip")
            file.attrs["unit"] = "K"
            file["text"] = "not an array"
    comm.Barrier()
    with CartGrid(comm, whole.shape) as grid:
        block = read_hdf5_block(grid, path)
        assert (block == whole[grid.slices_of(comm.rank)]).all()
        write_hdf5_block(path, grid, 2 * block, "group/out")
    with h5py.File(path) as file:
        assert (file["in"][...] == whole).all()
        assert (file["group/out"][...] == 2 * whole).all()
        assert file.attrs["unit"] == "K"
    comm.Barrier()


def test_other_files_are_errors_on_all_ranks(comm, directory):
    path = directory / "c.h5"
    if comm.rank == 0:
        with h5py.File(path, "w") as file:
            file["x"], file["y"] = np.zeros((4, 3)), np.zeros((4, 3))
            file["flat"] = np.zeros(12)
    comm.Barrier()
    with CartGrid(comm, (4, 3)) as grid:
        zeros = np.zeros(grid.block_shape)
        with pytest.raises(InputError, match="3 arrays; give one"):
            read_hdf5_block(grid, path)
        with pytest.raises(InputError, match=r"shape \(12,\); the grid expects"):
            read_hdf5_block(grid, path, "flat")
        with pytest.raises(InputError, match="no array 'z'"):
            read_hdf5_block(grid, path, "z")
        with pytest.raises(FileAccessError, match="is a dataset"):
            write_hdf5_block(path, grid, zeros, "x/below")
        with pytest.raises(TypeError, match="not numeric"):
            write_hdf5_block(path, grid, zeros.astype("S1"))
        with pytest.raises(ValueError, match="has shape"):
            write_hdf5_block(path, grid, np.zeros((9, 9)))
    with h5py.File(path) as file:
        assert sorted(file) == ["flat", "x", "y"]
    comm.Barrier()

"""HDF5 files against h5py on the whole."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from mpiapps.base.errors import InputError, ReadWriteError
from mpiapps.linalg.files import read, write
from tests.linalg.cases import DTYPES, close, layouts, spread, whole

pytestmark = pytest.mark.mpi


@pytest.fixture
def place(comm, tmp_path_factory):
    """A folder that all ranks share."""
    return Path(comm.bcast(str(tmp_path_factory.mktemp("hdf5"))))


def saved(comm, path, **contents):
    """Have rank 0 write data sets as h5py does."""
    if comm.rank == 0:
        with h5py.File(path, "w") as file:
            for name, (array, options) in contents.items():
                file.create_dataset(name, data=array, **options)
    comm.Barrier()
    return str(path)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (2, 5), (13, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_read_and_written_as_h5py_does(comm, place, shape, dtype):
    array = whole(shape, dtype)
    path = saved(comm, place / "x.h5", a=(array, {}))
    close(read(comm, path), array, 0)
    for layout in layouts(shape, comm.size):
        out = str(place / "out.hdf5")
        write(out + ":group/b", spread(comm, array, layout))
        with h5py.File(out) as file:
            np.testing.assert_array_equal(file["group/b"][...], array)
            assert file["group/b"].dtype == array.dtype
        close(read(comm, out + ":/group/b"), array, 0)
        comm.Barrier()


def test_chunks_compression_vectors_and_integers(comm, place):
    array = whole((17, 9))
    packed = {"chunks": (4, 3), "compression": "gzip"}
    path = saved(
        comm,
        place / "x.h5",
        packed=(array, packed),
        vector=(array[0], {}),
        whole=(np.arange(6).reshape(2, 3), {}),
    )
    close(read(comm, path + ":packed"), array, 0)
    close(read(comm, path + ":vector"), array[0][:, None], 0)
    close(read(comm, path + ":whole"), np.arange(6.0).reshape(2, 3), 0)


def test_what_is_not_there_is_told_on_all_ranks(comm, place):
    two = saved(
        comm, place / "two.h5", a=(np.eye(2), {}), b=(np.eye(2), {}), c=(b"text", {})
    )
    with pytest.raises(InputError, match=r"has 2 matrices; name one .* of a, b"):
        read(comm, two)
    with pytest.raises(InputError, match=r"has no matrix 'c'"):
        read(comm, two + ":c")
    with pytest.raises(InputError, match=r"cannot read .*gone.h5"):
        read(comm, str(place / "gone.h5"))
    text = place / "text.h5"
    if comm.rank == 0:
        text.write_text("no HDF5")
    comm.Barrier()
    with pytest.raises(InputError, match=r"cannot read .*text.h5 as HDF5"):
        read(comm, str(text))
    with pytest.raises(InputError, match=r"ends with none of .npy, .h5"):
        read(comm, "x.csv")
    with pytest.raises(ReadWriteError, match=r"cannot write .*: No such file"):
        write(str(place / "nowhere" / "x.h5"), spread(comm, np.eye(2)))

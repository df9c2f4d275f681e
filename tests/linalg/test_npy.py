import io
import os
from pathlib import Path

import numpy as np
import pytest

from mpiapps.base.errors import FileAccessError, InputError
from mpiapps.comm.consistency import DisagreementError
from mpiapps.linalg import file_blocks, npy
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.npy import read_npy, write_npy
from mpiapps.linalg.parallel_io import IO_METHODS
from tests.linalg.cases import DTYPES, close, layouts, spread, whole

pytestmark = pytest.mark.mpi


@pytest.fixture
def place(comm, tmp_path_factory):
    """A directory that all ranks share."""
    return Path(comm.bcast(str(tmp_path_factory.mktemp("npy"))))


def saved(comm, path, array):
    """Have rank 0 write an array as NumPy does."""
    if comm.rank == 0:
        np.save(path, array)
    comm.Barrier()
    return path


@pytest.mark.parametrize("method", IO_METHODS)
@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (2, 5), (13, 7)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_files_are_those_of_numpy(comm, place, method, shape, order):
    every = layouts(shape, comm.size)
    for k, dtype in enumerate(DTYPES):
        array = np.asarray(whole(shape, dtype), order=order)
        path = saved(comm, place / f"{dtype}.npy", array)
        close(read_npy(comm, path, method=method), array, 0)
        # Small ones in each layout, but not with each dtype.
        for layout in every if shape == (13, 7) else every[k % 3 :: 3]:
            a = read_npy(comm, path, layout, method=method)
            assert a.layout == layout
            close(a, array, 0)
            write_npy(place / "out.npy", a, fortran=order == "F", method=method)
            expected = io.BytesIO()
            np.save(expected, array)
            assert np.load(place / "out.npy").tobytes() == array.tobytes()
            np.testing.assert_array_equal(np.load(place / "out.npy"), array)
            comm.Barrier()
    if comm.rank == 0:
        assert not list(place.glob(".*"))


@pytest.mark.parametrize("order", ["C", "F"])
def test_ranks_access_parts_of_rows(comm, place, monkeypatch, order):
    """As those of large matrices: without a redistribution, in several tiles."""
    for name, value in [
        ("MIN_READ_BYTES", 1),
        ("MIN_WRITE_BYTES", 1),
        ("MIN_PARALLEL_BYTES", 0),
        ("TILE_ELEMENTS", 6),
        ("TILE_ROWS", 2),
    ]:
        monkeypatch.setattr(file_blocks, name, value)
    shape = (9, 8)
    for dtype in ("f8", "c8", ">f4", "i2"):
        array = np.asarray(whole(shape, "f8").astype(dtype), order=order)
        path = saved(comm, place / f"{array.dtype.name}.npy", array)
        for layout in layouts(shape, comm.size):
            a = read_npy(comm, path, layout)
            close(a, array.astype(a.dtype), 0)
            write_npy(place / "out.npy", a, fortran=order == "F")
            np.testing.assert_array_equal(np.load(place / "out.npy"), array)
            comm.Barrier()


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (12, 12), (0, 3), (40,)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_default_layout_is_balanced(comm, place, shape, order):
    array = np.arange(np.prod(shape), dtype=float).reshape(shape, order=order)
    a = read_npy(comm, saved(comm, place / "x.npy", array))
    matrix = array.reshape(a.shape)
    assert a.layout == Layout.balanced(matrix.shape, comm.size)
    close(a, matrix, 0)


def header(version, shape, dtype="<f8"):
    """Return the beginning of a file of any version and shape."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    size = 2 if version == (1, 0) else 4
    count = len(text).to_bytes(size, "little")
    return b"\x93NUMPY" + bytes(version) + count + text.encode()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_all_format_versions_are_read(comm, place, version):
    if comm.rank == 0:
        data = header(version, "(2, 3)") + np.arange(6.0).tobytes()
        (place / "x.npy").write_bytes(data)
    comm.Barrier()
    close(read_npy(comm, place / "x.npy"), np.load(place / "x.npy"), 0)


def test_sizes_may_be_numpy_integers(comm, place):
    a = DistMatrix.zeros(comm, (np.int64(6), np.int32(4)))
    write_npy(place / "x.npy", a)
    assert np.load(place / "x.npy").shape == (6, 4)


@pytest.mark.parametrize("dtype", [">f8", ">c8", "i4", "u1", "?", "f2", ">f2", "u8"])
def test_other_dtypes_are_converted(comm, place, dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    found = read_npy(comm, saved(comm, place / "x.npy", array))
    close(found, array.astype(found.dtype), 0)
    assert found.dtype.isnative


def test_a_vector_is_a_column(comm, place):
    found = read_npy(comm, saved(comm, place / "x.npy", np.arange(5.0)))
    close(found, np.arange(5.0)[:, None], 0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (np.zeros((2, 2, 2)), "has 3 dimensions"),
        (np.array(1.0), "has 0 dimensions"),
        (np.array([["a"]]), "expected numbers"),
        (np.zeros((2, 2), "g"), "holds float128"),
        (np.array([[0, 2**53 + 1]]), "the integer 9007199254740993"),
        (np.array([[0, -(2**53) - 1]]), "the integer -9007199254740993"),
        (np.array([[2**64 - 1]], "u8"), "the integer 18446744073709551615"),
        (np.zeros((2, 2), "i4,f8"), "expected numbers; convert them with astype"),
        (np.array([[None]]), "expected numbers; convert them with astype"),
        (np.zeros((2, 2), "M8[s]"), "expected numbers; convert them with astype"),
        (b"", "is not a .npy file"),
        (b"PK\x03\x04 a zip", "is not a .npy file"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': oops", "is not a .npy file"),
        (b"\x93NUMPY\x09\x00", "is not a .npy file"),
        (header((1, 0), "(-1, 3)"), "expected sizes of 0 or more"),
        (header((1, 0), "(2, -3)"), "expected sizes of 0 or more"),
        (header((1, 0), "(-5,)"), "expected sizes of 0 or more"),
        (header((1, 0), "(2, 2.5)"), "is not a .npy file"),
    ],
    ids=str,
)
def test_a_wrong_file_is_refused_on_all_ranks(comm, place, content, says):
    path = place / "x.npy"
    if comm.rank == 0:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.save(path, content, allow_pickle=True)
    comm.Barrier()
    with pytest.raises(InputError, match=says):
        read_npy(comm, path)


def test_a_truncated_file_is_refused(comm, place):
    path = saved(comm, place / "x.npy", np.zeros((10, 10)))
    if comm.rank == 0:
        os.truncate(path, 500)
    comm.Barrier()
    with pytest.raises(InputError, match=r"ends after 500 bytes; 10 x 10 .* need 928"):
        read_npy(comm, path)


def test_a_file_that_is_replaced_meanwhile_is_refused(comm, place, monkeypatch):
    path = saved(comm, place / "x.npy", np.zeros((4, 4)))
    read = npy.READ["posix"]

    def replace_first(comm, path):
        if comm.rank == comm.size - 1:
            np.save(place / "new.npy", np.ones((4, 4)))
            (place / "new.npy").replace(path)
        return read(comm, path)

    monkeypatch.setattr(npy, "READ", {"posix": replace_first})
    with pytest.raises(InputError, match="changed while it was read; read it again"):
        read_npy(comm, path)


def test_all_ranks_read_one_file(comm, place):
    for rank in range(comm.size):
        saved(comm, place / f"{rank}.npy", np.eye(3))
    if comm.size > 1:
        with pytest.raises(DisagreementError, match=r"read_npy\('.*0.npy'"):
            read_npy(comm, place / f"{comm.rank}.npy")


def test_a_pipe_is_refused(comm, place):
    if comm.rank == 0:
        os.mkfifo(place / "x.npy")
    comm.Barrier()
    with pytest.raises(FileAccessError, match="copy the data to a regular file"):
        read_npy(comm, place / "x.npy")


def test_access_errors_are_raised_on_all_ranks(comm, place):
    with pytest.raises(FileAccessError, match=r"cannot read .*: No such file"):
        read_npy(comm, place / "gone.npy")
    a = spread(comm, np.zeros((3, 3)))
    with pytest.raises(FileAccessError, match=r"cannot write .*: No such file"):
        write_npy(place / "nowhere" / "x.npy", a)
    with pytest.raises(FileAccessError, match=r"cannot write .*: Is a directory"):
        write_npy(place, a)
    with pytest.raises(FileAccessError, match=r"cannot read .*: Is a directory"):
        read_npy(comm, place)


def test_a_full_disk_leaves_the_old_file(comm, place, monkeypatch):
    path = saved(comm, place / "x.npy", np.ones((2, 2)))

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(FileAccessError, match="No space left on device"):
        write_npy(path, spread(comm, np.zeros((30, 30))))
    comm.Barrier()
    np.testing.assert_array_equal(np.load(path), np.ones((2, 2)))
    if comm.rank == 0:
        assert [each.name for each in place.iterdir()] == ["x.npy"]

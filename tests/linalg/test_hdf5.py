"""HDF5 files against h5py on the whole."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from mpiapps.base.errors import FileAccessError, InputError, UsageError
from mpiapps.linalg.files import check_output, check_results, read, write
from mpiapps.linalg.layout import Layout
from tests.linalg.cases import DTYPES, close, layouts, spread, whole

pytestmark = pytest.mark.mpi


@pytest.fixture
def place(comm, tmp_path_factory):
    """A directory that all ranks share."""
    return Path(comm.bcast(str(tmp_path_factory.mktemp("hdf5"))))


def saved(comm, path, **contents):
    """Have rank 0 write datasets as h5py does."""
    if comm.rank == 0:
        with h5py.File(path, "w") as file:
            for name, (array, options) in contents.items():
                file.create_dataset(name, data=array, **options)
    comm.Barrier()
    return str(path)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1), (2, 5), (13, 7)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_files_are_those_of_h5py(comm, place, shape, dtype):
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


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (12, 12), (40,)])
def test_the_default_layout_is_balanced(comm, place, shape):
    array = np.arange(np.prod(shape), dtype=float).reshape(shape)
    a = read(comm, saved(comm, place / "x.h5", a=(array, {})))
    matrix = array.reshape(a.shape)
    assert a.layout == Layout.balanced(matrix.shape, comm.size)
    close(a, matrix, 0)


def test_a_pipe_is_refused(comm, place):
    if comm.rank == 0:
        os.mkfifo(place / "x.h5")
    comm.Barrier()
    with pytest.raises(InputError, match="copy the data to a regular file"):
        read(comm, str(place / "x.h5"))


def test_missing_data_is_an_error_on_all_ranks(comm, place):
    two = saved(
        comm, place / "two.h5", a=(np.eye(2), {}), b=(np.eye(2), {}), c=(b"text", {})
    )
    with pytest.raises(InputError, match=r"has 2 matrices; give one .* of a, b"):
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
    with pytest.raises(InputError, match=r"expected one of .npy, .h5"):
        read(comm, "x.csv")
    with pytest.raises(FileAccessError, match=r"cannot write .*: No such file"):
        write(str(place / "nowhere" / "x.h5"), spread(comm, np.eye(2)))


def furnished(comm, path):
    """Have rank 0 write a file with something of every kind."""
    if comm.rank == 0:
        with h5py.File(path, "w") as file:
            file.attrs["title"] = "kept"
            file["a"] = whole((6, 4))
            file.create_dataset("packed/z", data=whole((50, 3)), compression="gzip")
            file["packed"].attrs["unit"] = "m"
            file["text"] = np.array([b"ab", b"c"])
            file["words"] = np.array(["x", "y"], h5py.string_dtype())
            file["again"] = file["a"]
            file["soft"] = h5py.SoftLink("/packed/z")
            file["far"] = h5py.ExternalLink("other.h5", "/b")
            file["dead"] = h5py.SoftLink("/gone")
            file["cube"] = np.zeros((2, 2, 2))
            file["reference"] = file["a"].ref
        with h5py.File(path.with_name("other.h5"), "w") as file:
            file["b"] = np.eye(3)
    comm.Barrier()
    return str(path)


def content(path):
    """Return all that a file of `furnished` holds, but for the dataset `x`."""
    with h5py.File(path) as file:
        names = []
        file.id.links.visit(names.append)
        links = {
            each.decode(): type(file.get(each, getlink=True)).__name__ for each in names
        }
        arrays = {}
        for name in ("a", "packed/z", "text", "words", "again", "soft", "far"):
            arrays[name] = file[name][...].tolist()
        assert file[file["reference"][()]] == file["a"] == file["again"]
        del links["x"]
        return links, arrays, dict(file.attrs), dict(file["packed"].attrs)


def test_other_contents_of_the_file_are_kept(comm, place):
    path = furnished(comm, place / "d.h5")
    x = whole((40, 7))
    write(path + ":x", spread(comm, x))
    before, size = content(path), Path(path).stat().st_size
    for _ in range(3):
        comm.Barrier()
        write(path + ":x", spread(comm, 2 * x))
        close(read(comm, path + ":x"), 2 * x, 0)
    assert content(path) == before
    assert Path(path).stat().st_size == size
    close(read(comm, path + ":a"), whole((6, 4)), 0)


def test_a_user_block_is_kept(comm, place):
    path = place / "u.h5"
    if comm.rank == 0:
        with h5py.File(path, "w", userblock_size=512) as file:
            file["matrix"] = np.eye(2)
        with path.open("r+b") as stream:
            stream.write(b"#! mine")
    comm.Barrier()
    write(str(path), spread(comm, whole((9, 9))))
    close(read(comm, str(path)), whole((9, 9)), 0)
    assert path.read_bytes()[:7] == b"#! mine"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("soft", "/soft is a link"),
        ("far", "/far is a link"),
        ("dead", "/dead is a link"),
        ("packed", "/packed is a group"),
        ("a/x", "/a is a dataset"),
    ],
)
def test_conflicting_objects_are_refused_and_kept(comm, place, name, says):
    path = furnished(comm, place / "d.h5")
    before, a = Path(path).read_bytes(), spread(comm, np.eye(2))
    for call in (
        lambda: check_output(comm, f"{path}:{name}", []),
        lambda: write(f"{path}:{name}", a),
    ):
        with pytest.raises(FileAccessError, match=says):
            call()
    comm.Barrier()
    assert Path(path).read_bytes() == before


def test_a_failed_write_leaves_all_datasets(comm, place, monkeypatch):
    path = furnished(comm, place / "d.h5")
    before = Path(path).read_bytes()

    def full(*_args):
        raise OSError(28, "No space left on device")

    for name in ("pwritev", "posix_fallocate"):
        with monkeypatch.context() as patched:
            patched.setattr("os." + name, full)
            with pytest.raises(FileAccessError, match="No space left"):
                write(path + ":x", spread(comm, whole((30, 30))))
        comm.Barrier()
        assert Path(path).read_bytes() == before
    if comm.rank == 0:
        assert {each.name for each in place.iterdir()} == {"d.h5", "other.h5"}


def test_links_of_all_kinds_are_followed(comm, place):
    path = furnished(comm, place / "d.h5")
    for name, expected in [
        ("again", whole((6, 4))),
        ("soft", whole((50, 3))),
        ("far", np.eye(3)),
    ]:
        close(read(comm, f"{path}:{name}"), expected, 0)
    for name in ("dead", "text", "words", "cube", "packed", "reference"):
        with pytest.raises(InputError, match=r"of a, again, far, packed/z, soft$"):
            read(comm, f"{path}:{name}")
    with pytest.raises(InputError, match="has 3 matrices"):
        read(comm, path)


def test_one_matrix_with_two_names_is_read_without_a_name(comm, place):
    path = saved(comm, place / "x.h5", a=(np.eye(3), {}), text=(b"text", {}))
    if comm.rank == 0:
        with h5py.File(path, "a") as file:
            file["b"], file["c"] = file["a"], h5py.SoftLink("/a")
    comm.Barrier()
    close(read(comm, path), np.eye(3), 0)


@pytest.mark.parametrize("damage", [b"damaged", b"\xff" * 64])
def test_a_damaged_chunk_is_bad_input(comm, place, damage):
    options = {"chunks": (10, 10), "compression": "gzip", "fletcher32": True}
    path = saved(comm, place / "x.h5", a=(whole((10, 10)), options))
    if comm.rank == 0:
        with h5py.File(path) as file:
            at = file["a"].id.get_chunk_info(0).byte_offset
        with Path(path).open("r+b") as stream:
            stream.seek(at + 5)
            stream.write(damage)
    comm.Barrier()
    with pytest.raises(InputError, match=r"cannot read .*x.h5 as HDF5"):
        read(comm, path)


@pytest.mark.parametrize(
    ("output", "operand"),
    [
        ("d.h5:a", "d.h5:a"),
        ("d.h5:/a", "d.h5:a/"),
        ("d.h5:a", "d.h5:again"),
        ("d.h5:packed/z", "d.h5:soft"),
        ("other.h5:b", "d.h5:far"),
        ("link.h5:a", "d.h5:a"),
        ("one.hdf5", "one.hdf5:matrix"),
        ("one.hdf5", "one.hdf5"),
        ("x.npy", "x.npy"),
        ("link.npy", "x.npy"),
        ("x.npy", "link.npy"),
        ("hard.npy", "x.npy"),
    ],
)
def test_an_operand_is_never_the_output(comm, place, output, operand):
    furnished(comm, place / "d.h5")
    if comm.rank == 0:
        np.save(place / "x.npy", np.eye(2))
        (place / "link.npy").symlink_to("x.npy")
        (place / "hard.npy").hardlink_to(place / "x.npy")
        (place / "link.h5").symlink_to(place / "d.h5")
    comm.Barrier()
    write(str(place / "one.hdf5"), spread(comm, np.eye(2)))
    with pytest.raises(UsageError, match="would replace the operand"):
        check_output(comm, str(place / output), [str(place / operand)])
    for free in ("d.h5:x", "other.h5", "y.npy"):
        check_output(comm, str(place / free), [str(place / operand)])
    comm.Barrier()
    assert not list(place.glob(".*"))


def test_the_file_of_a_dataset_is_never_another_result(comm, place):
    if comm.rank == 0:
        (place / "link.csv").symlink_to("d.h5")
    comm.Barrier()
    matrices = [str(place / name) for name in ("x.npy", "d.h5:group/a")]
    others = {"--output": matrices[1], "--csv": "d.h5", "--json": f"{place}/d.json"}
    check_results(comm, others, [*matrices, ""])
    for result in ("d.h5", "./d.h5", "link.csv"):
        with pytest.raises(UsageError, match=r"would replace the file of .*d\.h5:"):
            check_results(comm, {"--csv": str(place / result)}, matrices)


def test_other_dtypes_are_converted(comm, place):
    half = whole((4, 3)).astype("f2")
    path = saved(
        comm,
        place / "x.h5",
        half=(half, {}),
        fits=(np.array([2**53, -(2**53)]), {}),
        large=(np.array([1, 2**53 + 1], "u8"), {}),
        big=(whole((4, 3), "c16").astype(">c16"), {}),
        mask=(half > 0, {}),
        long=(half.astype("g"), {}),
    )
    close(read(comm, path + ":big"), whole((4, 3), "c16"), 0)
    close(read(comm, path + ":mask"), (half > 0).astype(float), 0)
    with pytest.raises(InputError, match=r"holds float128; .* convert with astype"):
        read(comm, path + ":long")
    close(read(comm, path + ":half"), half.astype("f4"), 0)
    close(read(comm, path + ":fits"), np.array([[2.0**53], [-(2.0**53)]]), 0)
    with pytest.raises(InputError, match="the integer 9007199254740993, but float64"):
        read(comm, path + ":large")

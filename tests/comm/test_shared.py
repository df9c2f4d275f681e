import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from mpiapps.comm import host_memory
from mpiapps.comm.shared import SharedArray, share, share_object
from mpiapps.model_selection.fits import FitTasks

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize("dtype", ["f8", "i2", "M8[s]", [("a", "i4"), ("b", "f8")]])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (4, 0), (50, 7)], ids=str)
def test_all_ranks_read_the_array_of_the_root(world, shape, dtype):
    whole = np.arange(int(np.prod(shape))).astype(dtype).reshape(shape)
    with share(world, whole if world.is_root else None) as shared:
        np.testing.assert_array_equal(shared.array, whole)
        assert shared.array.dtype == whole.dtype
        assert not shared.array.flags.writeable


def test_one_copy_per_host(world):
    with SharedArray(world, (world.size,), "i8") as shared:
        assert not shared.array.any()
        shared.sync()
        shared.array[world.rank] = world.rank + 1
        shared.sync()
        node_ranks = world.node.allgather(world.rank)
        assert shared.array.tolist() == [
            rank + 1 if rank in node_ranks else 0 for rank in range(world.size)
        ]
        assert isinstance(shared.array + 1, np.ndarray)


def test_strided_arrays_are_shared_in_logical_order(world):
    whole = np.arange(24.0).reshape(4, 6).T[::2]
    with share(world, whole if world.is_root else None) as shared:
        np.testing.assert_array_equal(shared.array, whole)


@pytest.mark.parametrize("array", [None, [1, 2], np.array([object()])], ids=str)
def test_invalid_array_raises_on_all_ranks(world, array):
    with pytest.raises(TypeError):
        share(world, array if world.is_root else None)
    world.comm.Barrier()


@pytest.mark.parametrize("n", [0, 10, 20_000])
def test_all_ranks_have_the_object_of_the_root(world, n):
    """Arrays of 64 KiB or more are shared, also those of a sparse matrix."""
    matrix = sparse.eye_array(n, format="csr") * 2.0
    value = {"matrix": matrix, "names": ["a", None], "array": np.arange(n)}
    with share_object(world, value if world.is_root else None) as received:
        assert received["names"] == ["a", None]
        np.testing.assert_array_equal(received["array"], value["array"])
        assert (received["matrix"] != matrix).nnz == 0
        for array in (received["array"], received["matrix"].data):
            assert array.flags.writeable == (array.nbytes < 2**16)


@pytest.mark.parametrize("reason", ["unsupported", "one rank may not map"])
def test_objects_are_shared_where_memory_cannot_be_mapped(world, reason, monkeypatch):
    """As on macOS, or with ranks in containers of their own."""

    def refuse(*_):
        raise PermissionError

    if reason == "unsupported":
        monkeypatch.setattr(host_memory, "is_supported", lambda: False)
    elif world.rank == world.size - 1:
        monkeypatch.setattr(host_memory.References, "map", refuse)
    value = [np.arange(20_000), "a", np.ones(30_000)]
    with share_object(world, value if world.is_root else None) as received:
        for array, expected in zip(received[::2], value[::2], strict=True):
            np.testing.assert_array_equal(array, expected)
        tasks = FitTasks(SimpleNamespace(nbytes=0, x=received[0]))
        copy = pickle.loads(pickle.dumps(tasks))
        np.testing.assert_array_equal(copy.problem.x, value[0])


def test_many_arrays_take_one_file(world):
    value = [np.full(10_000, n) for n in range(50)]
    with share_object(world, value if world.is_root else None) as received:
        assert [array[7] for array in received] == list(range(50))
        maps = Path("/proc/self/maps").read_text()
        assert maps.count("memfd:mpiapps") <= 2  # of the first rank: to write, to read


def test_an_object_that_cannot_be_pickled_raises_on_all_ranks(world):
    with (
        pytest.raises(Exception, match="pickle"),
        share_object(world, (lambda: None) if world.is_root else None),
    ):
        pass
    world.comm.Barrier()

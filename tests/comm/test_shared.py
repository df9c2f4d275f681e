import numpy as np
import pytest

from mpiapps.comm.shared import SharedArray, share

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

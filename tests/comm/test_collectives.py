"""Collectives of arrays give the results of a serial program."""

import numpy as np
import pytest

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.collectives import allgather, bcast, gather, scatter
from mpiapps.comm.partition import block

pytestmark = pytest.mark.mpi

RECORD = np.dtype([("id", "<i4"), ("x", ">f8"), ("name", "S3")])
DTYPES = ["f8", "f4", "c16", "i1", "?", ">i4", "f2", "M8[ns]", "U5", "S3", RECORD]


def numbers(shape, dtype="f8"):
    """An array of `shape` whose elements differ."""
    flat = np.arange(int(np.prod(shape)))
    if np.dtype(dtype) == RECORD:
        array = np.zeros(flat.size, RECORD)
        array["id"], array["x"], array["name"] = flat, flat / 3, flat.astype("S3")
        return array.reshape(shape)
    return flat.astype(dtype).reshape(shape)


def lengths(size):
    return [0, 1, size - 1, size, size + 1, 10 * size + 3]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_scatter_then_gather_is_the_identity(comm, dtype):
    for n in lengths(comm.size):
        whole = numbers((n, 2), dtype)
        local = scatter(comm, whole if comm.rank == 0 else None)
        part = block(n, comm.size, comm.rank)
        np.testing.assert_array_equal(local, whole[part.start : part.stop])
        assert local.dtype == whole.dtype
        assert local.flags.c_contiguous
        back = gather(comm, local)
        assert (back is None) == (comm.rank != 0)
        if back is not None:
            np.testing.assert_array_equal(back, whole)
        np.testing.assert_array_equal(allgather(comm, local), whole)


@pytest.mark.parametrize("root", [0, -1])
def test_uneven_and_empty_blocks_from_any_root(comm, root):
    root %= comm.size
    counts = [(3 * rank) % 4 * (rank != 1) for rank in range(comm.size)]
    whole = numbers((sum(counts), 3), "i8")
    local = scatter(comm, whole if comm.rank == root else None, counts, root)
    start = sum(counts[: comm.rank])
    np.testing.assert_array_equal(local, whole[start : start + counts[comm.rank]])
    back = gather(comm, local, root)
    if comm.rank == root:
        np.testing.assert_array_equal(back, whole)


@pytest.mark.parametrize(
    "strided",
    [
        lambda a: a[::2],
        lambda a: a[:, ::3],
        lambda a: a.T,
        lambda a: a[::-1],
        np.asfortranarray,
        lambda a: np.broadcast_to(a[0], a.shape),
    ],
    ids=["rows", "columns", "transposed", "reversed", "fortran", "broadcast"],
)
def test_memory_order_does_not_matter(comm, strided):
    whole = strided(numbers((12, 6)))
    received = bcast(comm, whole if comm.rank == 0 else None)
    np.testing.assert_array_equal(received, whole)
    local = scatter(comm, whole if comm.rank == 0 else None)
    np.testing.assert_array_equal(allgather(comm, local), whole)
    part = block(len(whole), comm.size, comm.rank)
    strided_block = whole[part.start : part.stop]
    np.testing.assert_array_equal(allgather(comm, strided_block), whole)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0, 3), (2, 3, 4)], ids=str)
def test_bcast_of_any_shape(comm, shape, dtype):
    root = comm.size - 1
    whole = numbers(shape, dtype)
    received = bcast(comm, whole if comm.rank == root else None, root)
    np.testing.assert_array_equal(received, whole)
    assert received.dtype == whole.dtype
    assert received.shape == shape


@pytest.mark.parametrize(
    ("array", "error"),
    [
        ([1, 2, 3], TypeError),
        (None, TypeError),
        (np.array([{}, 1], dtype=object), TypeError),
        (np.array(5), ValueError),
        (np.ma.array([1, 2], mask=[0, 1]), TypeError),
    ],
    ids=["list", "none", "objects", "0-D", "masked"],
)
def test_invalid_array_raises_on_all_ranks(comm, array, error):
    with pytest.raises(error):
        scatter(comm, array if comm.rank == 0 else None)
    with pytest.raises(error):
        gather(comm, array)
    comm.Barrier()  # no rank is blocked in a collective


@pytest.mark.parametrize("counts", [[1], [-1, 5], [100]], ids=str)
def test_invalid_counts_raise_on_all_ranks(comm, counts):
    counts = [*counts, *[0] * comm.size]
    with pytest.raises(ValueError, match="counts"):
        scatter(comm, np.ones(4) if comm.rank == 0 else None, counts)


def test_different_dtype_on_one_rank_raises_on_all_ranks(comm):
    local = np.ones(2, "f4" if comm.rank == comm.size - 1 else "f8")
    if comm.size == 1:
        assert allgather(comm, local).dtype == np.dtype("f4")
        return
    with pytest.raises(ValueError, match=f"rank {comm.size - 1} of float32"):
        allgather(comm, local)
    with pytest.raises(ValueError, match="the blocks differ"):
        gather(comm, np.ones((2, 1 + comm.rank)))


def test_missing_array_on_one_rank_raises_on_all_ranks(comm):
    last = comm.size - 1
    with pytest.raises(TypeError, match="array is a list") as caught:
        gather(comm, [1] if comm.rank == last else np.ones(2))
    if comm.rank != last:
        assert any(f"raised on rank {last}" in n for n in caught.value.__notes__)


def test_plan_fills_given_arrays(comm):
    counts = [rank + 1 for rank in range(comm.size)]
    plan = BlockPlan(comm, counts, (2,), "i8")
    block_, whole = np.empty(plan.block_shape, "i8"), np.empty(plan.shape, "i8")
    for step in range(3):
        source = numbers(plan.shape, "i8") + step
        plan.scatter(source if comm.rank == 0 else None, block_)
        assert plan.allgather(block_, whole) is whole
        np.testing.assert_array_equal(whole, source)
        gathered = plan.gather(block_, whole if comm.rank == 0 else None)
        if comm.rank == 0:
            np.testing.assert_array_equal(gathered, source)


def test_plan_raises_for_arrays_that_do_not_fit(comm):
    plan = BlockPlan(comm, comm.size * 2, (3,))
    with pytest.raises(ValueError, match=r"send is float64 \(2, 4\); this plan needs"):
        plan.allgather(np.ones((2, 4)))
    with pytest.raises(ValueError, match="send is int64"):
        plan.gather(np.ones((2, 3), "i8"))
    with pytest.raises(ValueError, match="out is float64"):
        plan.allgather(np.ones((2, 3)), np.empty((3, 2)))
    with pytest.raises(ValueError, match="rows of each rank"):
        BlockPlan(comm, [1] * (comm.size + 1))
    with pytest.raises(TypeError, match="Python objects"):
        BlockPlan(comm, 4, dtype=object)
    if comm.rank == 0:  # raises before any message
        with pytest.raises(ValueError, match="the array to send is None"):
            plan.scatter(None)


def test_numpy_integers_as_counts(comm):
    counts = np.full(comm.size, 20_000, np.int16)  # their int16 sum would overflow
    whole = numbers((20_000 * comm.size,), "i1")
    local = scatter(comm, whole if comm.rank == 0 else None, counts)
    np.testing.assert_array_equal(allgather(comm, local), whole)
    huge = BlockPlan(comm, np.full(comm.size, 300_000_000, np.int32))
    assert huge.shape == (300_000_000 * comm.size,)


def test_plan_copies_a_strided_block_at_each_call(comm):
    """Changes of a strided block between calls are sent."""
    plan = BlockPlan(comm, [3] * comm.size)
    wide, whole = np.zeros((3, 2)), np.empty(plan.shape)
    for step in range(3):
        wide[:, 0] = step
        assert (plan.allgather(wide[:, 0], whole) == step).all()
    block_ = wide[:, 0].copy()
    plan.allgather(block_, whole)
    block_ += 1
    assert (plan.allgather(block_, whole) == 3).all()


def test_messages_above_the_limit(comm, monkeypatch):
    """The path for large arrays, with a limit of 1000 bytes instead of 1 GiB."""
    monkeypatch.setattr("mpiapps.comm.chunking.MAX_MESSAGE_BYTES", 1000)
    counts = [(rank % 3) * 700 for rank in range(comm.size)]
    whole = numbers((sum(counts),), "i4")
    for root in {0, comm.size - 1}:
        plan = BlockPlan(comm, counts, dtype="i4", root=root)
        local = plan.scatter(whole if comm.rank == root else None)
        start = sum(counts[: comm.rank])
        np.testing.assert_array_equal(local, whole[start : start + counts[comm.rank]])
        back = plan.gather(local)
        if comm.rank == root:
            np.testing.assert_array_equal(back, whole)
    np.testing.assert_array_equal(allgather(comm, local), whole)
    np.testing.assert_array_equal(bcast(comm, whole if comm.rank == 0 else None), whole)
    stamps = numbers((3000,), "M8[s]")
    np.testing.assert_array_equal(allgather(comm, scatter(comm, stamps)), stamps)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ([1, 2], "convert it with np.asarray"),
        (1.5, "convert it with np.asarray"),
        ({"a": 1}, "send other objects with world.objects"),
        ("text", "send other objects with world.objects"),
        (None, "send other objects with world.objects"),
    ],
)
def test_other_types_are_errors_with_a_remedy(comm, value, remedy):
    with pytest.raises(TypeError, match=remedy):
        bcast(comm, value)

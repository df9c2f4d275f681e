"""Arguments that must be equal on all ranks are compared, and errors are agreed on."""

import numpy as np
import pytest

from mpiapps.comm.collectives import allgather, bcast, gather, scatter
from mpiapps.comm.consistency import (
    DisagreementError,
    computed_on_root,
    raise_together,
)
from mpiapps.comm.shared import SharedArray

pytestmark = pytest.mark.mpi


def other(comm):
    """Whether this rank differs from the others; false on a single rank."""
    return comm.size > 1 and comm.rank == comm.size - 1


DIFFERENT = {
    "root of scatter": lambda c, odd: scatter(c, np.arange(4), root=int(odd)),
    "root of gather": lambda c, odd: gather(c, np.arange(4), int(odd)),
    "root of bcast": lambda c, odd: bcast(c, np.arange(4), int(odd)),
    "calls": lambda c, odd: (gather if odd else scatter)(c, np.arange(4)),
    "call with a root": lambda c, odd: (
        allgather(c, np.arange(4)) if odd else bcast(c, np.arange(4))
    ),
}


@pytest.mark.parametrize("call", DIFFERENT.values(), ids=DIFFERENT)
def test_disagreement_raises_on_all_ranks(comm, call):
    if comm.size == 1:
        call(comm, False)
        return
    with pytest.raises(DisagreementError, match=r"rank 0 calls .* rank . calls"):
        call(comm, other(comm))
    assert comm.allreduce(1) == comm.size  # communication still works


def test_inconsistent_blocks_are_errors(comm):
    if comm.size == 1:
        return
    odd = other(comm)
    for block in (np.zeros(2, "f4" if odd else "f8"), np.zeros((2, 3 if odd else 2))):
        for move in (gather, allgather):
            with pytest.raises(ValueError, match="the blocks differ"):
                move(comm, block)


def test_values_and_types_are_compared(comm):
    array = np.arange(6.0).reshape(2, 3)
    alike = [1, "a", None, 2j, (1, 2), array, array.T, array[::-1], np.zeros((0, 3))]
    for value in alike:
        with raise_together(comm) as same:
            same("call", value)
    changed = array.copy()
    changed[1, 2] = np.nextafter(5, 6)
    differ = [(1, 2), (1, "1"), (array, changed), (array, array.astype("f4"))]
    for one, another in differ if comm.size > 1 else []:
        with pytest.raises(DisagreementError), raise_together(comm) as same:
            same("call", another if other(comm) else one)


def test_error_takes_precedence_over_disagreement(comm):
    with pytest.raises(KeyError, match="lost"), raise_together(comm) as same:
        same("call", comm.rank)
        if comm.rank == comm.size - 1:
            raise KeyError("lost")


@pytest.mark.parametrize("root", [-1, 99, 1.5, "0"])
def test_invalid_root(comm, root):
    array = np.arange(3)
    for call in (scatter, gather, bcast):
        with pytest.raises((TypeError, ValueError)):
            call(comm, array, root=root)


def test_numpy_integers_as_roots(comm):
    root = np.int64(comm.size - 1)
    assert bcast(comm, np.full(3, comm.rank), root)[0] == root


@pytest.mark.parametrize("shape", [(-1,), (2, -3), (1.5,), ("3",)])
def test_invalid_shape(world, shape):
    with pytest.raises((TypeError, ValueError)):
        SharedArray(world, shape)


def test_shared_memory_with_disagreement(world):
    for shape, dtype in [((4 + other(world.comm),), "f8"), ((4,), "f4")]:
        odd_dtype = "f8" if other(world.comm) else dtype
        if world.local_size == 1:
            SharedArray(world, shape, dtype).free()
            continue
        with pytest.raises(DisagreementError):
            SharedArray(world, shape, odd_dtype)


def test_numpy_integers_as_shapes(world):
    with SharedArray(world, (np.int64(3), np.uint8(2))) as shared:
        assert shared.array.shape == (3, 2)


def test_a_result_of_the_root_is_on_every_rank(comm):
    assert computed_on_root(comm, lambda: [comm.rank, "text"]) == [0, "text"]
    with pytest.raises(ValueError, match="only the root knows"):
        computed_on_root(comm, lambda: _fail("only the root knows"))


def _fail(text):
    raise ValueError(text)

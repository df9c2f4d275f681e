import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.comm.partition import (
    block,
    blocks,
    counts_displs,
    process_grid,
)

numbers = st.integers(min_value=0, max_value=2**70)
sizes = st.integers(min_value=1, max_value=300)


def assert_tiles(parts, n):
    """Each item has one owner, in order."""
    ends = [part.stop for part in parts]
    assert [part.start for part in parts] == [0, *ends[:-1]]
    assert ends[-1] == n


@given(numbers, sizes)
def test_blocks_tile_the_range_and_differ_by_at_most_one(n, size):
    parts = blocks(n, size)
    lengths = [part.stop - part.start for part in parts]
    assert_tiles(parts, n)
    assert max(lengths) - min(lengths) <= 1
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_blocks_at_the_edges(size):
    for n in (0, 1, size - 1, size, size + 1):
        parts = blocks(n, size)
        assert sum(map(len, parts)) == n
        assert sum(1 for part in parts if len(part)) == min(n, size)


@given(st.integers(1, 5000))
def test_grids_use_all_ranks_and_minimise_perimeters(size):
    rows, cols = process_grid(size)
    assert rows * cols == size
    for other in range(1, size + 1):
        if size % other == 0:
            assert rows + cols <= other + size // other


def test_known_grids():
    assert process_grid(12) == (3, 4)
    assert process_grid(16) == (4, 4)
    assert process_grid(7) == (1, 7)
    assert process_grid(np.int64(8)) == (2, 4)


def test_numpy_integers_are_accepted():
    assert block(np.int64(10), np.int32(3), np.int8(1)) == range(4, 7)
    with pytest.raises(TypeError):
        block(10.5, 3, 1)


def test_counts_and_displs_are_those_of_mpi():
    assert counts_displs(blocks(10, 4)) == ([3, 3, 2, 2], [0, 3, 6, 8])


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: block(-1, 2, 0), "negative"),
        (lambda: block(1, 0, 0), "at least 1 rank"),
        (lambda: block(1, 2, 2), "not one of the 2 ranks"),
        (lambda: process_grid(0), "at least 1 rank"),
    ],
)
def test_invalid_arguments(call, word):
    with pytest.raises(ValueError, match=word):
        call()

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.comm.partition import (
    block,
    blocks,
    counts_displs,
    grid_block,
    process_grid,
    weighted_blocks,
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


@given(numbers, st.lists(st.integers(0, 2**40), min_size=1).filter(any))
def test_weighted_blocks_tile_and_are_within_one_of_their_share(n, weights):
    parts = weighted_blocks(n, weights)
    assert_tiles(parts, n)
    total = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        length = part.stop - part.start
        assert abs(length * total - n * weight) < total
        if weight == 0:
            assert length == 0


@given(numbers, sizes)
def test_equal_weights_are_balanced(n, size):
    lengths = [part.stop - part.start for part in weighted_blocks(n, [5] * size)]
    assert max(lengths) - min(lengths) <= 1


@given(st.integers(1, 5000), st.integers(0, 10**6), st.integers(0, 10**6))
def test_grids_use_all_ranks_and_minimise_perimeters(size, m, n):
    rows, cols = process_grid(size, (m, n))
    assert rows * cols == size
    m, n = max(m, 1), max(n, 1)
    for other in range(1, size + 1):
        if size % other == 0:
            assert rows * n + cols * m <= other * n + size // other * m


def test_known_grids():
    assert process_grid(12) == (3, 4)
    assert process_grid(16) == (4, 4)
    assert process_grid(7) == (1, 7)
    assert process_grid(8, (1000, 10)) == (8, 1)
    assert process_grid(8, (10, 1000)) == (1, 8)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 12))
def test_grid_blocks_cover_the_matrix_once(m, n, size):
    grid = process_grid(size, (m, n))
    owned = [
        (i, j)
        for rank in range(size)
        for rows, cols in [grid_block((m, n), grid, rank)]
        for i in rows
        for j in cols
    ]
    assert sorted(owned) == [(i, j) for i in range(m) for j in range(n)]


def test_numpy_integers_do_not_overflow():
    speeds = np.array([2 * 10**9] * 2, np.int32)
    assert weighted_blocks(10**12, speeds) == weighted_blocks(10**12, [1, 1])
    assert block(np.int64(10), np.int32(3), np.int8(1)) == range(4, 7)
    with pytest.raises(TypeError):
        weighted_blocks(10, [0.5, 0.5])


def test_counts_and_displs_are_those_of_mpi():
    assert counts_displs(blocks(10, 4)) == ([3, 3, 2, 2], [0, 3, 6, 8])


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: block(-1, 2, 0), "negative"),
        (lambda: block(1, 0, 0), "at least 1 rank"),
        (lambda: block(1, 2, 2), "not one of the 2 ranks"),
        (lambda: weighted_blocks(3, [1, -1]), "0 or more"),
        (lambda: weighted_blocks(3, [0, 0]), "not all 0"),
        (lambda: process_grid(0), "at least 1 rank"),
        (lambda: process_grid(4, (-1, 2)), "negative"),
        (lambda: grid_block((4, 4), (2, 2), 4), "outside the 2 x 2"),
    ],
)
def test_invalid_arguments(call, word):
    with pytest.raises(ValueError, match=word):
        call()

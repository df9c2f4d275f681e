"""The default layout: complete, and balanced where a grid can be."""

import itertools
import math
import random

import pytest

from mpiapps.comm.partition import divisors
from mpiapps.linalg.layout import Layout


def shapes():
    """Return 500 shapes: tiny, tall, wide, square, prime."""
    rng = random.Random(0)
    fixed = list(itertools.product([0, 1, 2, 7, 63, 64, 65, 1009, 8192], repeat=2))
    fixed += [(10**6, n) for n in (1, 8, 64, 256)]
    fixed += [(n, m) for m, n in fixed[-4:]]
    sizes = [round(10 ** rng.uniform(0, 6)) for _ in range(2 * (500 - len(fixed)))]
    return [*fixed, *zip(sizes[::2], sizes[1::2], strict=True)]


def largest(shape, grid):
    return math.prod(-(-n // p) for n, p in zip(shape, grid, strict=True))


def perimeter(shape, grid):
    return sum(-(-n // p) for n, p in zip(shape, grid, strict=True))


@pytest.mark.parametrize("size", range(1, 65))
def test_the_default_layout_is_balanced(size):
    grids = [(p, size // p) for p in divisors(size)]
    for shape in shapes():
        layout = Layout.balanced(shape, size)
        counts = [math.prod(layout.local_shape(rank)) for rank in range(size)]
        assert sum(counts) == math.prod(shape)
        allowed = max(
            1.05 * math.prod(shape) / size, min(largest(shape, grid) for grid in grids)
        )
        assert max(counts) <= allowed
        good = [grid for grid in grids if largest(shape, grid) <= allowed]
        least = min(perimeter(shape, grid) for grid in good)
        assert perimeter(shape, layout.grid) == least


@pytest.mark.parametrize(
    ("shape", "size", "grid"),
    [
        ((10**6, 64), 16, (16, 1)),
        ((64, 10**6), 16, (1, 16)),
        ((4096, 4096), 16, (4, 4)),
        ((4096, 4096), 2, (2, 1)),
        ((1, 100), 7, (1, 7)),
        ((0, 0), 3, (3, 1)),
        ((6, 600), 4, (1, 4)),
    ],
)
def test_tall_matrices_have_rows_and_wide_ones_columns(shape, size, grid):
    assert Layout.balanced(shape, size).grid == grid

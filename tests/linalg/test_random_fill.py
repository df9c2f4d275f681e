"""The elements of a random matrix are the numbers of a `Stream`, on any layout."""

import numpy as np
import pytest

from mpiapps.comm.random import Stream
from mpiapps.linalg import random_fill
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.layout import Layout

SEED = 7


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize(
    "layout",
    [
        Layout.blocks((5, 7), (1, 1)),
        Layout(Axis(9, 2, 3), Axis(11, 3, 2)),  # runs that start at odd columns
        Layout(Axis(40, 1, 2), Axis(1, 1, 1)),
        Layout(Axis(3, 1, 1), Axis(301, 50, 3)),  # longer than a chunk
        Layout(Axis(200, 64, 1), Axis(17, 17, 1)),
        Layout.blocks((0, 4), (1, 1)),
    ],
    ids=repr,
)
def test_elements_are_those_of_the_stream(dtype, layout, monkeypatch):
    monkeypatch.setattr(random_fill, "CHUNK", 32)
    limit = np.nextafter(np.ones(1, dtype).real, 0)
    for rank in layout.ranks:
        i, j = layout.coords(rank)
        local = np.full(layout.local_shape(rank), 9, dtype)
        random_fill.fill(local, layout, rank, SEED)
        for row, values in zip(layout.rows.indices(i), local, strict=True):
            for stream, part in enumerate([values.real, values.imag]):
                if np.isrealobj(values) and stream:
                    continue
                numbers = Stream(SEED, stream).uniform(0, layout.cols.n, block=int(row))
                expected = np.minimum(2 * numbers - 1, limit)[layout.cols.indices(j)]
                assert np.array_equal(part, expected.astype(part.dtype))

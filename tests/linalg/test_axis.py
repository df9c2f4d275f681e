"""Who owns which index, and where: against the definition, index by index."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.linalg.axis import Axis
from mpiapps.linalg.layout import Layout

AXES = st.builds(Axis, st.integers(0, 60), st.integers(1, 9), st.integers(1, 5))


@given(AXES)
def test_each_index_has_one_owner_and_one_place(axis):
    owned = [axis.indices(coord).tolist() for coord in range(axis.procs)]
    assert sorted(i for mine in owned for i in mine) == list(range(axis.n))
    for coord, mine in enumerate(owned):
        assert axis.count(coord) == len(mine)
        assert [i for run in axis.runs(coord) for i in run] == mine
        for place, index in enumerate(mine):
            assert (axis.owner(index), axis.local(index)) == (coord, place)


@given(AXES, st.integers(0, 60), st.integers(0, 4))
def test_count_below(axis, index, coord):
    coord, index = coord % axis.procs, min(index, axis.n)
    expected = sum(i < index for i in axis.indices(coord).tolist())
    assert axis.count_below(index, coord) == expected


@given(AXES, AXES, st.integers(0, 4), st.integers(0, 4))
def test_overlap_of_two_distributions(one, other, here, there):
    other = Axis(one.n, other.block, other.procs)
    here, there = here % one.procs, there % other.procs
    mine = one.indices(here)
    expected = np.intersect1d(mine, other.indices(there))
    assert mine[one.overlap(here, other, there)].tolist() == expected.tolist()
    assert one.common(here, other, there) == len(expected)


def test_an_invalid_layout_is_refused():
    with pytest.raises(ValueError, match="blocks of 0"):
        Axis(5, 0, 1)
    with pytest.raises(ValueError, match="one for each position"):
        Layout(Axis(4, 2, 2), Axis(4, 2, 2), (0, 1, 1, 2))


@given(AXES, AXES)
def test_the_transposed_layout_keeps_each_element_on_its_rank(rows, cols):
    layout = Layout(rows, cols)
    for rank in layout.ranks:
        assert layout.T.local_shape(rank) == layout.local_shape(rank)[::-1]
    assert layout == layout.T.T

"""Indexing and assignment: as NumPy, on every rank, in any layout."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mpiapps.comm.consistency import DisagreementError
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from tests.linalg.cases import DTYPES, layouts, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]

M, N = 7, 5
s_ = np.s_
KEYS = {
    "element": s_[2, 3],
    "last element": s_[-1, -1],
    "NumPy's integers": (np.int8(2), np.uint64(3)),
    "array without dimension": (np.array(2), 1),
    "row": s_[4],
    "row, all columns": s_[-2, :],
    "part of a row": s_[1, ::-2],
    "column": s_[:, -1],
    "part of a column": s_[5:1:-1, 2],
    "all": s_[:],
    "ellipsis": s_[...],
    "nothing": (),
    "row by ellipsis": s_[2, ...],
    "column by ellipsis": s_[..., 2],
    "block": s_[1:4, 2:],
    "rows": s_[2:5],
    "columns": s_[:, 1:3],
    "steps": s_[::2, ::3],
    "negative steps": s_[::-1, 4:0:-2],
    "beyond the end": s_[3:100, -100:2],
    "empty": s_[3:3, 4:2],
    "no rows": s_[9:],
    "index list": [4, 0, -1, 4],
    "empty list": [],
    "index array of columns": (slice(None), np.array([3, 3, 0], np.int16)),
    "mask of rows": np.arange(M) % 2 == 0,
    "mask of columns": (slice(1, 6), np.arange(N) > 1),
    "mask of nothing": np.zeros(M, bool),
    "elements": ([0, 3, -1], [1, 1, 0]),
    "elements of a row": (2, [4, 0, 0]),
    "elements of a column": (np.arange(M) > 2, 1),
    "diagonal": (np.arange(N), np.arange(N)),
    "np.ix_": np.ix_([5, 1, 1], [0, -1]),
    "np.ix_ of masks": np.ix_(np.arange(M) > 3, np.arange(N) < 3),
    "np.ix_ of one": np.ix_([2], [1, 3]),
}


def grids(comm, shape):
    return [None, *layouts(shape, comm.size)]


def assert_is(found, expected):
    """Assert the same elements, dtype and kind of result as NumPy's."""
    assert isinstance(found, DistMatrix) == (np.ndim(expected) == 2)
    assert found.dtype == expected.dtype
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_array_equal(np.asarray(found), expected)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_an_index_selects_what_it_selects_in_numpy(comm, key):
    for k, layout in enumerate(grids(comm, (M, N))):
        x = whole((M, N), DTYPES[k % len(DTYPES)])
        a = DistMatrix.from_all(comm, x, layout)
        found = a[key]
        assert_is(found, x[key])
        if isinstance(found, np.ndarray | DistMatrix):
            getattr(found, "local", found)[...] = 9
        assert_is(a, x)  # a copy


VALUES = {
    "number": lambda _: 2.5,
    "integer": lambda _: 3,
    "array": lambda x: np.arange(x.size).reshape(x.shape) + 0.5,
    "list": lambda x: (np.arange(x.size).reshape(x.shape) + 0.5).tolist(),
    "by columns": lambda x: np.asfortranarray(np.arange(x.size).reshape(x.shape)),
    "last axis": lambda x: np.arange(x.shape[-1] if x.ndim else 1) + 0.25,
    "one more axis": lambda x: np.ones((1, *x.shape)),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_assignment_of_numbers_and_arrays(comm, key, value):
    for k, layout in enumerate(grids(comm, (M, N))[::2]):
        x = whole((M, N), ("f4", "c16")[k % 2])
        a = DistMatrix.from_all(comm, x, layout)
        assigned = value(x[key])
        try:
            x[key] = assigned
        except (TypeError, ValueError):
            with pytest.raises(ValueError, match=r"could not broadcast|for an element"):
                a[key] = assigned
        else:
            a[key] = assigned
        assert_is(a, x)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_assignment_of_matrices(comm, key):
    x = whole((M, N))
    shape = x[key].shape
    if len(shape) < 2:
        shape = (1, *shape) if shape else (1, 1)
    for k, layout in enumerate(grids(comm, (M, N))):
        x = whole((M, N))
        a = DistMatrix.from_all(comm, x, layout)
        others = {shape, (1, 1), (1, shape[1])}
        if x[key].ndim == 2:
            others.add((shape[0], 1))
        for other in sorted(others):
            y = whole(other, DTYPES[k % 2], seed=k)
            a[key] = DistMatrix.from_all(comm, y, grids(comm, other)[-k])
            x[key] = y if x[key].ndim else y[0, 0]
            assert_is(a, x)


def test_assignment_of_a_matrix_to_itself(comm):
    for layout in grids(comm, (M, N)):
        x = whole((M, N))
        a = DistMatrix.from_all(comm, x, layout)
        for target, source in [
            (s_[1:], s_[:-1]),
            (s_[:-1, 1:], s_[1:, :-1]),
            (s_[::-1], s_[:]),
            (s_[0], s_[3]),
            (s_[:, 0], s_[:, 1]),
        ]:
            a[target] = a[source]
            x[target] = x[source].copy()
            assert_is(a, x)
        a[::-1, ::-1] = a
        x[::-1, ::-1] = x.copy()
        assert_is(a, x)
        square = DistMatrix.from_all(comm, x[:N])
        square[...] = square.T
        assert_is(square, x[:N].T)


@settings(  # the ranks draw the same examples, and shrink none on their own
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_random_slices_and_index_arrays(comm, data):
    m, n = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))

    def indices(size):
        kinds = [st.slices(size)]
        if size:
            kinds.append(st.lists(st.integers(-size, size - 1), max_size=9))
            kinds.append(st.integers(-size, size - 1))
        return st.one_of(*kinds)

    rows, cols = data.draw(indices(m)), data.draw(indices(n))
    key = np.ix_(rows, cols) if isinstance(rows, list) and isinstance(cols, list) \
        else (rows, cols)  # fmt: skip
    x = whole((m, n))
    grid = data.draw(st.integers(0, len(layouts((m, n), comm.size))))
    a = DistMatrix.from_all(comm, x, grids(comm, (m, n))[grid])
    assert_is(a[key], x[key])
    y = whole(x[key].shape if x[key].ndim == 2 else (1, x[key].size), seed=1)
    a[key] = DistMatrix.from_all(comm, y)
    x[key] = y if x[key].ndim else y[0, 0]
    assert_is(a, x)


WRONG_KEYS = {
    "row after the last": M,
    "row before the first": -M - 1,
    "column": s_[0, N],
    "index in a list": [0, M],
    "index of np.ix_": np.ix_([0], [-N - 1]),
    "three": s_[0, 0, 0],
    "two ellipses": s_[..., ...],
    "new axis": s_[:, None],
    "float": 1.0,
    "text": "x",
    "floats": [1.5],
    "list of lists": [[0, 1], [1, 2]],
    "mask of another length": np.ones(M + 1, bool),
    "mask of columns as rows": np.ones(N, bool),
    "mask of the matrix": np.ones((M, N), bool),
    "index arrays of other lengths": ([0, 1], [0, 1, 2]),
    "half of np.ix_": (np.array([[0], [1]]), slice(None)),
    "nothing": None,
    "bool": True,
}


@pytest.mark.parametrize("key", WRONG_KEYS.values(), ids=WRONG_KEYS)
def test_a_wrong_index_raises_on_all_ranks(comm, key):
    a = spread(comm, whole((M, N)))
    with pytest.raises(IndexError):
        a[key]
    if not (isinstance(key, np.ndarray) and key.ndim == 2):
        with pytest.raises(IndexError):
            a[key] = 1
    for rank in range(comm.size):  # wrong on one rank only
        with pytest.raises((IndexError, DisagreementError)):
            a[key if comm.rank == rank else 0]
    assert_is(a, whole((M, N)))


def test_out_of_range_as_numpy_reports_it(comm):
    x = whole((M, N))
    a = spread(comm, x)
    for key in (M, -M - 1, s_[0, N], s_[:, -N - 1], ([0, M + 3], 0)):
        with pytest.raises(IndexError) as expected:
            x[key]
        with pytest.raises(IndexError) as found:
            a[key]
        assert str(found.value) == str(expected.value)


WRONG_VALUES = {
    "row of another length": (s_[0], np.ones(N + 1), ValueError),
    "too many axes": (s_[0], np.ones((2, N)), ValueError),
    "column for a row": (s_[:, 0], np.ones((M, 1)), ValueError),
    "complex number": (s_[0], 1j, TypeError),
    "complex array": (s_[0], np.ones(N, complex), TypeError),
    "text": (s_[0], "1", TypeError),
    "nothing": (s_[0], None, TypeError),
    "array for an element": (s_[0, 0], np.ones(2), ValueError),
}


@pytest.mark.parametrize("case", WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_a_wrong_value_changes_nothing(comm, case):
    key, value, error = case
    a = spread(comm, whole((M, N)))
    with pytest.raises(error):
        a[key] = value
    for rank in range(comm.size):
        with pytest.raises(error if comm.size == 1 else (error, DisagreementError)):
            a[key] = value if comm.rank == rank else 2
    other = DistMatrix.zeros(comm, (M - 1, N))
    with pytest.raises(ValueError, match="could not broadcast"):
        a[...] = other
    assert_is(a, whole((M, N)))


def test_indices_and_values_must_be_the_same_on_all_ranks(comm):
    a, row = spread(comm, whole((M, N))), DistMatrix.zeros(comm, (1, N))
    if comm.size == 1:
        return
    with pytest.raises(DisagreementError):
        a[comm.rank]
    with pytest.raises(DisagreementError):
        a[:, comm.rank % 2 :]
    with pytest.raises(DisagreementError):
        a[0] = comm.rank
    with pytest.raises(DisagreementError):
        a[0] = np.full(N, comm.rank)
    with pytest.raises(DisagreementError):
        a[0] = 1 if comm.rank else row
    assert_is(a, whole((M, N)))


def count_messages(monkeypatch):
    sent = []

    def exchange(comm, to, out, source, into):
        sent.append((to, out.nbytes))
        return original(comm, to, out, source, into)

    from mpiapps.linalg import element_moves

    original = element_moves.exchange
    monkeypatch.setattr(element_moves, "exchange", exchange)
    return sent


def test_elements_move_only_where_they_must(comm, monkeypatch):
    sent = count_messages(monkeypatch)
    a = DistMatrix.random(comm, (8 * comm.size, 6), layout=Layout.blocks(
        (8 * comm.size, 6), (comm.size, 1)))  # fmt: skip
    columns = a[:, 2:5]
    assert columns.layout == Layout.blocks((8 * comm.size, 3), (comm.size, 1))
    a[:, :3] = columns
    assert a[::-1][:].layout == a.layout
    by_rows = sum(size for _, size in sent)
    reversed_size = (
        0 if comm.size % 2 and comm.rank == comm.size // 2 else a.local.nbytes
    )
    assert by_rows == reversed_size
    sent.clear()
    half = a[: 4 * comm.size]
    targets = [to for to, size in sent if size]
    assert len(targets) == len(set(targets))
    assert half.local.shape == (4, 6)  # each rank has its share


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_a_mask_of_one_row_or_column(comm, shape):
    x, mask = np.ones(shape), np.arange(max(shape)).reshape(shape) % 2 == 0
    for layout in layouts(shape, comm.size):
        a = spread(comm, x, layout)
        a[mask] = 2
        np.testing.assert_array_equal(a.to_all(), np.where(mask, 2, 1))


@pytest.mark.parametrize("key", [(0, 0), 0, slice(None)])
def test_a_number_that_no_element_holds_raises_on_all_ranks(comm, key):
    a = DistMatrix.zeros(comm, (3, 3))
    with pytest.raises(OverflowError):
        a[key] = 10**400
    assert not a.any()

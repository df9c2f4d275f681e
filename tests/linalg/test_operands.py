"""What users pass in: local parts, arrays and numbers of every kind."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from mpiapps.linalg.axis import Axis
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.moments import mean, std
from mpiapps.linalg.multiply import multiply
from tests.linalg.cases import DTYPES, close, layouts, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]


def unaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)
    made = raw[1:].view(a.dtype).reshape(a.shape)
    made[...] = a
    return made


def read_only(a):
    made = a.copy()
    made.flags.writeable = False
    return made


PARTS = {
    "rows reversed": lambda a: a[::-1],
    "columns reversed": lambda a: a[:, ::-1],
    "both reversed": lambda a: a[::-1, ::-1],
    "by columns": np.asfortranarray,
    "every other column": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "one row for all": lambda a: np.broadcast_to(a[:1], a.shape) if a.size else a,
    "one column for all": lambda a: np.broadcast_to(a[:, :1], a.shape) if a.size else a,
    "overlapping": lambda a: (
        as_strided(a, strides=(a.itemsize, a.itemsize)) if a.size else a
    ),
    "read-only": read_only,
    "unaligned": unaligned,
    "np.matrix": lambda a: a.view(np.matrix),
}


@pytest.mark.parametrize("view", PARTS.values(), ids=PARTS)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_any_view_is_accepted_as_local_block(comm, view):
    x, eye = whole((9, 9)), DistMatrix.eye(comm, 9)
    for layout in layouts((9, 9), comm.size):
        assigned = spread(comm, x, layout)
        mine = view(assigned.local.copy())
        expected = np.array(mine)
        assigned.local = mine
        for made in (assigned, DistMatrix(comm, layout, mine)):
            assert type(made.local) is np.ndarray
            np.testing.assert_array_equal(made.local, expected)
            array = made.to_all()
            close(made @ eye, array)
            close(eye @ made, array)
            close(multiply(made, made, op_a="T"), array.T @ array)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a: a.tolist(),
        np.ma.masked_invalid,
        lambda a: a[:0] if a.size else np.zeros((1, 1)),
        lambda a: a.astype("f4"),
        lambda a: a.astype(">f8"),
        lambda a: a.astype(complex),
        lambda a: a.astype(object),
        lambda a: a.astype(int),
        lambda a: None if a.size else [],
    ],
)
def test_a_local_block_that_does_not_fit_is_not_assigned(comm, wrong):
    made = spread(comm, whole((5, 4)))
    with pytest.raises((TypeError, ValueError)):
        made.local = wrong(made.local)
    close(made, whole((5, 4)), 0)


def test_no_result_shares_memory_with_its_operand(comm):
    for shape in [(5, 1), (1, 5), (4, 4)]:
        for layout in layouts(shape, comm.size):
            a = spread(comm, whole(shape), layout)
            results = [a.T, a.H, a.copy(), a.redistribute(layout), a.astype(float)]
            results += [
                a.map(lambda x: x),
                a.map(np.real),
                DistMatrix(a.comm, layout, a.local.copy()),
            ]
            for made in results:
                made.local[...] = 7
            for root in range(comm.size):
                array = a.to_root(root)
                if array is not None:
                    array[...] = 7
            a.to_all()[...] = 7
            close(a, whole(shape), 0)
            x = whole(shape)
            for root in range(comm.size):
                b = DistMatrix.from_root(comm, x, layout, root)
                b.local[...] = 7
            np.testing.assert_array_equal(x, whole(shape))


BAD = {
    "masked": np.ma.masked_less(np.eye(3), 1),
    "objects": np.eye(3).astype(object),
    "fields": np.zeros((3, 3), [("x", float)]),
    "text": np.full((3, 3), "1"),
    "dates": np.zeros((3, 3), "M8[s]"),
    "half": np.eye(3, dtype="f2"),
    "long": np.eye(3, dtype=np.longdouble),
    "vector": np.ones(3),
    "cube": np.ones((3, 3, 3)),
    "ragged": [[1], [2, 3]],
    "nothing": None,
}


@pytest.mark.parametrize("array", BAD.values(), ids=BAD)
def test_other_objects_than_matrices_are_refused_on_all_ranks(comm, array):
    for root in range(comm.size):
        with pytest.raises((TypeError, ValueError)):
            DistMatrix.from_root(comm, array if comm.rank == root else None, root=root)
    with pytest.raises((TypeError, ValueError)):
        DistMatrix.from_all(comm, array)


@pytest.mark.parametrize(
    "name", ["masked", "objects", "fields", "text", "dates", "cube"]
)
def test_operands_must_be_arrays_of_numbers(comm, name):
    a = DistMatrix.eye(comm, 3)
    left = np.asarray(BAD[name])  # a masked one would take the array of `a` first
    for call in (
        lambda: a + BAD[name],
        lambda: a @ BAD[name],
        lambda: left.T[0, :0] * a,
    ):
        with pytest.raises((TypeError, ValueError)):
            call()


def test_a_distributed_matrix_is_not_scattered(comm):
    a = DistMatrix.eye(comm, 3)
    for make in (DistMatrix.from_root, DistMatrix.from_all):
        with pytest.raises(TypeError, match="expected an array"):
            make(comm, a)
    with pytest.raises(TypeError, match="expected an array"):
        DistMatrix.from_function(comm, (3, 3), lambda *_: a)


def test_a_layout_of_another_shape_is_refused(comm):
    layout = Layout.cyclic((3, 4), comm.size)
    calls = [
        lambda: DistMatrix.zeros(comm, (4, 3), layout=layout),
        lambda: DistMatrix.random(comm, (4, 3), layout=layout),
        lambda: DistMatrix.eye(comm, 4, layout=layout),
        lambda: DistMatrix.from_function(
            comm, (4, 3), lambda i, j: i + j, layout=layout
        ),
        lambda: DistMatrix.from_root(comm, np.ones((4, 3)), layout),
        lambda: DistMatrix.from_all(comm, np.ones((4, 3)), layout),
        lambda: DistMatrix.zeros(comm, (4, 3)).redistribute(layout),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="the layout has shape 3 x 4, the matrix"):
            call()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64])
def test_numpy_integers_are_sizes(comm, kind):
    sides = kind(6), kind(4)
    made = DistMatrix.random(comm, sides, kind(3))
    assert made.layout == Layout.balanced((6, 4), comm.size)
    assert {type(side) for side in made.shape} == {int}
    close(made, DistMatrix.random(comm, (6, 4), 3).to_all(), 0)
    layout = Layout(
        Axis(sides[0], kind(2), kind(1)), Axis(sides[1], kind(2), kind(1)), (kind(0),)
    )
    assert layout == Layout(Axis(6, 2, 1), Axis(4, 2, 1), (0,))
    assert Layout.blocks(sides, (kind(1), kind(comm.size))).shape == (6, 4)
    assert made.to_root(kind(comm.size - 1)) is not None or comm.rank < comm.size - 1
    assert DistMatrix.eye(comm, kind(3)).shape == (3, 3)
    np.testing.assert_array_equal(mean(made, kind(1)), mean(made, 1))
    np.testing.assert_array_equal(std(made, 0, kind(1)), std(made, 0, 1))
    # Where NumPy's would wrap around.
    assert Axis(kind(100), kind(100), kind(100)).indices(0).size == 100


@pytest.mark.parametrize("size", [2.0, "2", None, np.float64(2)])
def test_sizes_must_be_integers(comm, size):
    for call in (
        lambda: Axis(size, 1, 1),
        lambda: Axis(1, size, 1),
        lambda: Layout(Axis(1, 1, 1), Axis(1, 1, 1), (size,)),
        lambda: DistMatrix.zeros(comm, (size, 2)),
        lambda: DistMatrix.random(comm, (2, 2), size),
    ):
        with pytest.raises(TypeError):
            call()


NUMBERS = [2, -2.5, 2j, True, np.float32(1.5), np.float64(1.5), np.int8(3),
           np.uint64(3), np.complex64(2j), np.complex128(1 + 2j), np.array(2.0),
           np.bool_(True), 0]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_numbers_of_any_type_are_factors(comm, number, dtype):
    x = whole((6, 6), dtype)
    a = spread(comm, x)
    complex_ = np.iscomplexobj(number)
    product = (x @ x) * (complex if complex_ else float)(number)
    expected = product.astype(np.result_type(dtype, "c8") if complex_ else dtype)
    close(multiply(a, a, alpha=number), expected)
    close(multiply(a, a, a, alpha=0, beta=number), (x * number).astype(expected.dtype))
    close(a * number, x * number)
    close(number * a, number * x)
    close(a + number, x + number)
    close(number - a, number - x)


def test_a_power_has_no_modulus(comm):
    a = DistMatrix.eye(comm, 3)
    for numbers in ((a, 2, 3), (2, a, 3), (a, a, a)):
        with pytest.raises(TypeError, match=r"operand type.*pow\(\).*DistMatrix"):
            pow(*numbers)
    close(pow(a, 2, None), np.eye(3))


@pytest.mark.parametrize("number", ["2", None, [2], "x", object(), np.str_("2")])
def test_factors_must_be_numbers(comm, number):
    a = DistMatrix.eye(comm, 3)
    for call in (
        lambda: multiply(a, a, alpha=number),
        lambda: multiply(a, a, a, beta=number),
        lambda: a * number,
        lambda: number * a,
        lambda: a + number,
        lambda: a / number,
    ):
        with pytest.raises((TypeError, ValueError)):
            call()

"""Halos as np.pad of the whole array, on any grid; whole arrays to blocks and back."""

from itertools import product

import numpy as np
import pytest

from mpiapps.comm.cartesian import CartGrid
from mpiapps.comm.consistency import DisagreementError
from mpiapps.comm.halo import Halo
from mpiapps.comm.partition import blocks, cartesian_dims, owner

DTYPES = [
    np.float64,
    np.float16,
    np.complex64,
    np.int8,
    ">i4",
    "M8[s]",
    np.dtype([("a", "f4"), ("b", "i2")]),
]


@pytest.fixture
def comm():
    from mpi4py import MPI

    return MPI.COMM_WORLD


def array_of(shape, dtype=np.float64):
    """Return an array whose elements differ (of int8: mostly)."""
    dtype = np.dtype(dtype)
    numbers = np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape)
    if dtype.names is None:
        return numbers.astype(dtype)
    array = np.empty(shape, dtype)
    for factor, name in enumerate(dtype.names, 1):
        array[name] = numbers * factor
    return array


def expected(whole, grid, halo, corners, before):
    """Return what an exchange must make of `before`, from the whole array."""
    result = before.copy()
    inside = [range(part.start, part.stop) for part in halo.inside]
    if 0 in grid.block_shape:
        return result
    for place in np.ndindex(result.shape):
        outer = sum(i not in own for i, own in zip(place, inside, strict=True))
        if outer > (len(inside) if corners else 1):
            continue
        starts = [part.start - halo.width for part in grid.block]
        index = [i + start for i, start in zip(place, starts, strict=True)]
        sides = list(zip(index, whole.shape, grid.periodic, strict=True))
        if all(wraps or 0 <= i < n for i, n, wraps in sides):
            result[place] = whole[tuple(i % n for i, n, _ in sides)]
    return result


def check_exchange(comm, shape, *, width, periodic, corners=False, **options):
    dtype = options.pop("dtype", np.float64)
    whole = array_of(shape, dtype)
    with (
        CartGrid(comm, shape, periodic=periodic, **options) as grid,
        Halo(grid, dtype, width, corners=corners) as halo,
    ):
        u = halo.zeros()
        u[halo.inside] = whole[grid.slices_of(comm.rank)]
        result = expected(whole, grid, halo, corners, u)
        for _ in range(2):
            halo.start(u).Wait()
            assert u.tobytes() == result.tobytes(), (grid.dims, grid.coords)


def sizes(size):
    return sorted({0, 1, max(0, size - 1), size, size + 1, 2 * size + 1})


@pytest.mark.mpi
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("width", [1, 3])
def test_halo_of_a_line_of_any_length(comm, width, periodic):
    for n in sizes(comm.size):
        check_exchange(comm, (n,), width=width, periodic=periodic)


@pytest.mark.mpi
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("periodic", [(False, False), (True, False), (True, True)])
def test_halo_of_a_plane(comm, periodic, corners):
    p = comm.size
    how = {"periodic": periodic, "corners": corners}
    for shape in (5 * p, 7), (1, p + 1), (p, max(0, p - 1)), (2, 2):
        check_exchange(comm, shape, width=2, **how)
    check_exchange(comm, (p + 1, p + 2), width=1, dims=(1, p), **how)


@pytest.mark.mpi
@pytest.mark.parametrize("corners", [False, True])
def test_halo_of_a_volume(comm, corners):
    how = {"corners": corners, "periodic": (True, False, True)}
    check_exchange(comm, (5, 4, 6), width=1, **how)
    check_exchange(comm, (3, 2, 7), width=2, **how)


@pytest.mark.mpi
def test_halo_of_any_dtype(comm):
    for dtype in DTYPES:
        check_exchange(
            comm, (7, 5), width=1, periodic=(True, False), corners=True, dtype=dtype
        )


@pytest.mark.mpi
def test_exchanges_of_two_arrays_at_a_time(comm):
    with CartGrid(comm, (9, 8), periodic=True) as grid, Halo(grid) as halo:
        arrays = [halo.zeros() for _ in range(2)]
        for value, u in enumerate(arrays, 1):
            u[halo.inside] = value
        requests = [halo.start(u) for u in arrays]
        for request in requests:
            request.Wait()
        for value, u in enumerate(arrays, 1):
            assert (u[:, halo.inside[1]] == value).all()
            assert (u[halo.inside[0]] == value).all()


@pytest.mark.mpi
def test_core_and_rim_cover_the_block_once(comm):
    for shape, width in product([(9, 8), (1, 2), (4, 5)], [1, 2]):
        with CartGrid(comm, shape) as grid, Halo(grid, int, width) as halo:
            count = halo.zeros()
            for part in [halo.core, *halo.rim]:
                count[part] += 1
            assert (count[halo.inside] == 1).all()
            assert count.sum() == np.prod(grid.block_shape)


@pytest.mark.mpi
def test_wrong_arrays_are_refused_before_any_message(comm):
    with CartGrid(comm, (6, 6)) as grid, Halo(grid) as halo:
        for wrong in (
            halo.zeros().astype("f4"),
            halo.zeros()[1:],
            np.zeros(halo.shape, order="F"),
        ):
            with pytest.raises(ValueError, match="needs C-contiguous writable float64"):
                halo.start(wrong)
        halo.exchange(halo.zeros())


@pytest.mark.mpi
def test_wrong_arguments_are_errors_on_all_ranks(comm):
    with pytest.raises(ValueError, match="product is the number of ranks"):
        CartGrid(comm, (4, 4), dims=(comm.size + 1, 1))
    with pytest.raises(ValueError, match="one for each of 2 dimensions"):
        CartGrid(comm, (4, 4), periodic=(True,))
    with pytest.raises(ValueError, match="0 or more indices"):
        CartGrid(comm, (4, -1))
    with CartGrid(comm, (4, 4)) as grid:
        with pytest.raises(TypeError, match="holds Python objects"):
            Halo(grid, object)
        last = comm.size - 1
        with pytest.raises(ValueError, match="1 or more indices"):
            Halo(grid, width=0 if comm.rank == last else 1)
        if comm.size > 1:
            with pytest.raises(DisagreementError):
                Halo(grid, width=1 + comm.rank)


@pytest.mark.mpi
@pytest.mark.parametrize("dtype", DTYPES[-3:], ids=str)
def test_whole_array_to_blocks_and_back(comm, dtype):
    p, root = comm.size, comm.size - 1
    for shape in (p + 1,), (0, 3), (1, p), (5, 4, 3):
        whole = array_of(shape, dtype)
        with CartGrid(comm, shape) as grid:
            part = grid.scatter(whole if comm.rank == root else None, root)
            assert part.tobytes() == whole[grid.slices_of(comm.rank)].tobytes()
            assert part.dtype == whole.dtype
            back = grid.gather(part, root)
            assert (back is None) == (comm.rank != root)
            if back is not None:
                assert back.tobytes() == whole.tobytes()


@pytest.mark.mpi
def test_blocks_of_another_grid(comm):
    p = comm.size
    for shape in (2 * p + 1, p), (3, p - 1, 4):
        whole = array_of(shape, np.float16)
        ones = (1,) * (len(shape) - 1)
        with (
            CartGrid(comm, shape, dims=(p, *ones)) as rows,
            CartGrid(comm, shape, dims=(*ones, p)) as columns,
        ):
            block = whole[rows.slices_of(comm.rank)]
            moved = rows.redistribute(block, columns)
            assert np.array_equal(moved, whole[columns.slices_of(comm.rank)])
            assert np.array_equal(columns.redistribute(moved, rows), block)


@pytest.mark.mpi
def test_block_of_another_shape_is_an_error_on_all_ranks(comm):
    with CartGrid(comm, (6, 6)) as grid:
        wrong = comm.rank == comm.size - 1
        shape = (7, 7) if wrong else grid.block_shape
        with pytest.raises(ValueError, match="has shape"):
            grid.gather(np.zeros(shape))
        with pytest.raises(ValueError, match="has shape"):
            grid.scatter(np.zeros((5, 6)))


@pytest.mark.parametrize(
    ("size", "shape", "dims"),
    [
        (6, (100,), (6,)),
        (4, (100, 100), (4, 1)),  # two faces of 100 are as many as four of 50
        (16, (100, 100), (4, 4)),
        (4, (10, 1000), (1, 4)),
        (27, (64, 64, 64), (3, 3, 3)),
        (4, (2, 2), (2, 2)),  # no rank without indices
        (3, (0, 5), (1, 3)),
    ],
)
def test_dims_with_the_least_halo(size, shape, dims):
    assert cartesian_dims(size, shape) == dims


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_owner_of_each_index(size):
    for n in range(2 * size + 2):
        for rank, part in enumerate(blocks(n, size)):
            assert all(owner(n, size, item) == rank for item in part)

"""What a schedule says is what moves: counted on real runs, against the formula."""

from types import SimpleNamespace

import pytest

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.linalg import element_moves
from mpiapps.linalg import multiply as product_module
from mpiapps.linalg import summa as module
from mpiapps.linalg.cost_model import count, plan
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.grid_choice import Grid, choose_grid, grids
from mpiapps.linalg.multiply import multiply
from mpiapps.linalg.product_choice import (
    SUMMA,
    Choice,
    Product,
    choose_product,
    rank_choices,
)
from mpiapps.linalg.schedule import exchanged_shape, product

SHAPES = [
    *[(64, 64, 64), (96, 96, 96), (120, 60, 30), (30, 60, 120), (60, 120, 30)],
    *[(16, 16, 1024), (1024, 16, 16), (16, 1024, 16), (48, 48, 480), (480, 48, 48)],
    *[(1, 240, 240), (240, 1, 240), (240, 240, 1), (17, 19, 23), (97, 89, 101)],
    *[(100, 10, 1), (256, 64, 512), (64, 512, 256), (720, 720, 16), (12, 720, 720)],
]


class Counted:
    """A communicator that counts the bytes which this rank receives."""

    def __init__(self, comm, total):
        self._comm, self._total = comm, total

    def __getattr__(self, name):
        return getattr(self._comm, name)

    def Ibcast(self, buffer, root):  # noqa: N802 - mpi4py's
        self._total[0] += buffer.nbytes if self._comm.rank != root else 0
        return self._comm.Ibcast(buffer, root=root)

    def Irecv(self, buffer, source):  # noqa: N802 - mpi4py's
        self._total[0] += buffer.nbytes
        return self._comm.Irecv(buffer, source=source)


@pytest.fixture
def received(monkeypatch):
    """Count what arrives on the communicators of grids."""
    total = [0]
    found = module.grid_of

    def counted(comm, layout):
        grid = found(comm, layout)
        if grid.coords is None:
            return grid
        return SimpleNamespace(
            coords=grid.coords,
            row=Counted(grid.row, total),
            col=Counted(grid.col, total),
        )

    def allgather(plan, block, out=None):
        total[0] += plan.shape[0] * plan.dtype.itemsize - block.nbytes
        return plain_allgather(plan, block, out)

    def exchange(comm, *arguments):
        plain_exchange(Counted(comm, total), *arguments)

    plain_allgather, plain_exchange = BlockPlan.allgather, element_moves.exchange
    monkeypatch.setattr(module, "grid_of", counted)
    monkeypatch.setattr(product_module, "grid_of", counted)
    monkeypatch.setattr(BlockPlan, "allgather", allgather)
    monkeypatch.setattr(element_moves, "exchange", exchange)
    return total


@pytest.mark.mpi
@pytest.mark.parametrize("gram", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_algorithm_receives_the_planned_elements(
    comm, received, monkeypatch, shape, gram
):
    m, n, k = shape
    m = n if gram else m
    for _, choice in rank_choices(Product(m, n, k, comm.size, gram=gram)):
        monkeypatch.setattr(
            product_module, "choose_product", lambda *_, choice=choice, **__: choice
        )
        la, lb, _ = choice.layouts
        a = DistMatrix.zeros(comm, (m, k), "f8", la)
        b = DistMatrix.zeros(comm, (k, n), "f8", lb)
        received[0] = 0
        if not gram:
            multiply(a, b)
        elif choice.algorithm != SUMMA:  # whose A and A.H are redistributed
            product_module.gram(b)
        else:
            continue
        planned, *_ = count(choice, comm.rank, comm.size, gram=gram)
        assert received[0] == planned * 8


@pytest.mark.mpi
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_product_receives_the_scheduled_elements(comm, received, shape):
    m, n, k = shape
    for grid in grids(comm.size):
        layouts = grid.layouts(m, n, k)
        a = DistMatrix.zeros(comm, (m, k), "f8", layouts[0])
        b = DistMatrix.zeros(comm, (k, n), "f8", layouts[1])
        received[0] = 0
        multiply(a, b, grid=grid)
        inside = comm.rank < grid.size
        expected = (
            count(Choice(SUMMA, grid, layouts), comm.rank, comm.size)[0] * 8
            if inside
            else 0
        )
        assert received[0] == expected


@pytest.mark.mpi
def test_matrices_in_good_layouts_are_not_redistributed(comm, received):
    for shape in SHAPES[:3]:
        m, n, k = shape
        grid = choose_grid(m, n, k, comm.size)
        layouts = grid.layouts(m, n, k)
        a = DistMatrix.random(comm, (m, k), layout=layouts[0])
        b = DistMatrix.random(comm, (k, n), layout=layouts[1])
        received[0] = 0
        a @ b
        choice = choose_product(Product(m, n, k, comm.size, a=layouts[0], b=layouts[1]))
        assert received[0] == count(choice, comm.rank, comm.size)[0] * 8


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_plans_cover_the_product_exactly(shape):
    m, n, k = shape
    for size in range(1, 17):
        grid = choose_grid(m, n, k, size)
        layouts = grid.layouts(m, n, k)
        counts = [
            count(Choice(SUMMA, grid, layouts), rank, size) for rank in range(grid.size)
        ]
        assert sum(flops for _, _, flops in counts) >= 2 * m * n * k
        found = plan(m, n, k, size)
        counts = [count(found.choice, rank, size) for rank in range(size)]
        assert sum(flops for _, _, flops in counts) >= 2 * m * n * k
        assert found.received >= max(received for received, _, _ in counts) * 8
        assert found.flops >= max(flops for _, _, flops in counts)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 8, 9, 12, 16])
@pytest.mark.parametrize("scale", [720, 1440])
def test_even_sizes_move_no_more_than_the_formula(size, scale):
    for m, n, k in [(scale,) * 3, (scale, scale, 8 * scale), (8 * scale, scale, scale)]:
        found = plan(m, n, k, size)
        assert found.received <= 1.02 * 8 * found.grid.received_elements(m, n, k)


@pytest.mark.parametrize("size", [4, 16, 64, 256, 1024, 4096])
@pytest.mark.parametrize(
    "shape", [(2**15, 2**15, 2**15), (2**13, 2**13, 2**20), (2**20, 2**10, 2**10)]
)
def test_the_best_grid_is_near_the_lower_bound(shape, size):
    found = plan(*shape, size)
    assert found.bound <= found.received <= 1.5 * found.bound


@pytest.mark.parametrize("size", [10**4, 10**6, 999_983])
def test_few_grids_are_examined_for_many_ranks(size):
    looked_at = list(grids(size))
    assert len(looked_at) < 300_000
    assert all(size - size // 8 <= grid.size <= size for grid in looked_at)


@pytest.mark.parametrize("size", [1031, 1500, 2047])
@pytest.mark.parametrize("sizes", [(4096, 4096, 4096), (100_000, 2000, 2000)])
def test_the_omitted_grids_are_not_better(size, sizes):
    used = range(size - size // 8, size + 1)
    every = (
        Grid(pm, part // pm, number // part)
        for number in used
        for part in divisors(number)
        for pm in divisors(part)
    )
    best = min(grid.seconds(*sizes, 8) for grid in every)
    assert choose_grid(*sizes, size).seconds(*sizes, 8) <= 1.1 * best


def divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]


def test_a_plan_for_a_million_ranks_is_near_the_bound():
    found = plan(2**20, 2**20, 2**20, 10**6)
    assert found.received <= 1.3 * found.bound


@pytest.mark.parametrize(
    ("grid", "broadcasts"), [(Grid(1, 1), 0), (Grid(4, 1), 4), (Grid(2, 2), 4)], ids=str
)
def test_a_grid_axis_of_one_rank_sends_nothing(grid, broadcasts):
    choice = Choice(SUMMA, grid, grid.layouts(1024, 1024, 1024))
    _, messages, _ = count(choice, 0, grid.size)
    assert messages == broadcasts


def test_the_gram_exchange_receives_all_that_is_elsewhere():
    grid = Grid(3, 2)
    choice = Choice(SUMMA, grid, grid.layouts(50, 50, 70))
    c = choice.layouts[2]
    for rank in range(6):
        (step,) = list(product(choice, rank, 6, gram=True))[-1]
        parts = [exchanged_shape(c, rank, c.T, r) for r in range(6) if r != rank]
        assert step.received == sum(rows * cols for rows, cols in parts)

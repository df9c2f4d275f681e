"""The algorithm of a product follows sizes and layouts; each gives the product."""

import itertools

import numpy as np
import pytest

from mpiapps.linalg import multiply as module
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.multiply import gram, multiply
from mpiapps.linalg.product_choice import (
    REPLICATE_A,
    REPLICATE_B,
    REPLICATE_BOTH,
    SUM,
    SUMMA,
    Product,
    candidates,
    choose_product,
)
from tests.linalg.cases import DTYPES, close, layouts, spread, whole

SIZES = [(5, 7, 11), (1, 4, 9), (9, 1, 4), (4, 3, 1), (3, 4, 0), (0, 2, 3)]


def choices(sizes, size, a, b):
    found = list(candidates(Product(*sizes, size, a=a, b=b)))
    algorithms = {choice.algorithm for choice in found}
    assert algorithms >= {REPLICATE_A, REPLICATE_B, REPLICATE_BOTH, SUM}
    return found


@pytest.mark.mpi
@pytest.mark.parametrize("sizes", SIZES)
def test_every_algorithm_gives_the_product(comm, monkeypatch, sizes):
    m, n, k = sizes
    x, y = whole((m, k), "c16"), whole((k, n), "c16")
    stored = {"N": (x, y), "H": (x.conj().T.copy(), y.conj().T.copy())}
    for turn, (op, (left, right)) in enumerate(stored.items()):
        lefts, rights = (layouts(each.shape, comm.size) for each in (left, right))
        for i, j in itertools.product(range(len(lefts)), range(len(rights))):
            if (i + j + turn) % 2:
                continue  # each pair of layouts with one of the two
            la, lb = lefts[i], rights[j]
            turned = (la, lb) if op == "N" else (la.T, lb.T)
            a, b = spread(comm, left, la), spread(comm, right, lb)
            for choice in choices(sizes, comm.size, *turned):
                monkeypatch.setattr(
                    module, "choose_product", lambda *_, choice=choice, **__: choice
                )
                close(multiply(a, b, op_a=op, op_b=op), x @ y)


@pytest.mark.mpi
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(9, 5), (5, 9), (1, 3), (3, 1), (0, 2), (2, 0)])
def test_every_algorithm_gives_a_hermitian_gram_matrix(comm, monkeypatch, shape, dtype):
    k, n = shape
    x = whole(shape, dtype)
    for layout in layouts(shape, comm.size):
        a = spread(comm, x, layout)
        for choice in choices((n, n, k), comm.size, layout.T, layout):
            if sum(choice.replicated) == 1:
                continue  # never chosen: no rank has both triangles
            monkeypatch.setattr(
                module, "choose_product", lambda *_, choice=choice, **__: choice
            )
            c = gram(a)
            close(c, x.conj().T @ x)
            array = c.to_all()
            np.testing.assert_array_equal(array, array.conj().T)


@pytest.mark.mpi
def test_large_operands_stay_where_they_are(comm):
    tall = Layout.balanced((10**6, 64), comm.size)
    small = Layout.balanced((64, 64), comm.size)
    choice = choose_product(Product(10**6, 64, 64, comm.size, a=tall, b=small))
    assert choice.layouts[0].matches(tall)
    wide = tall.T
    choice = choose_product(Product(64, 10**6, 64, comm.size, a=small, b=wide))
    assert choice.layouts[1].matches(wide)
    choice = choose_product(Product(64, 64, 10**6, comm.size, a=wide, b=tall))
    assert all(
        new.matches(old) for new, old in zip(choice.layouts, (wide, tall), strict=False)
    )
    a = DistMatrix.zeros(comm, (100_000, 3), layout=None)
    b = DistMatrix.zeros(comm, (3, 3))
    assert (a @ b).layout.rows.matches(a.layout.rows)


@pytest.mark.parametrize("size", [2, 3, 4, 7, 16, 64])
def test_the_choice_follows_the_sizes(size):
    assert choose_product(Product(8192, 8192, 8192, size)).algorithm == SUMMA
    assert choose_product(Product(64, 64, 10**7, size)).grid.pk == size
    tall = Layout.balanced((10**6, 64), size)
    choice = choose_product(Product(64, 64, 10**6, size, a=tall.T, b=tall, gram=True))
    assert choice.algorithm == SUM
    assert choice.layouts[1].matches(tall)

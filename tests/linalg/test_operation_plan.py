"""Plans of operations: algorithms, costs on many ranks, and what is refused."""

from itertools import pairwise

import pytest

from mpiapps.linalg import cost_model
from mpiapps.linalg.cost_model import Machine
from mpiapps.linalg.operation_plan import plan_operation
from mpiapps.linalg.operations import find_operation
from mpiapps.linalg.traffic import Traffic


@pytest.mark.parametrize(
    ("name", "sizes", "algorithm"),
    [
        ("eigh", (500,), "LAPACK on rank 0"),
        ("eigh", (20_000,), "tridiagonal form, divide and conquer"),
        ("svd", (7_000, 5_000), "bidiagonal form"),
        ("svd", (500, 5_000_000), "QR, LAPACK on rank 0"),
        ("lstsq", (10**8, 50, 3), "R of A and B, SVD of R on every rank"),
        ("eigsh", (200,), "LAPACK on rank 0"),
        ("eigsh", (20_000,), "block Lanczos"),
        ("svds", (20_000, 5_000), "block Golub-Kahan"),
    ],
)
def test_plans_of_many_ranks(name, sizes, algorithm):
    operation = find_operation(name)
    k = 5 if "k" in operation.options else 0
    values = []
    for ranks in (1, 2, 64, 1024):
        found = plan_operation(operation, sizes, ranks, "f8", k=k)
        values.append(found.values(Machine()))
        assert found.algorithm == algorithm
    assert values[0]["received"] == values[0]["messages"] == 0
    assert all(
        first["memory"] >= 0.9 * second["memory"]
        for first, second in pairwise(values[:3])
    )
    if "rank 0" not in algorithm:
        assert values[1]["seconds"] < 0.8 * values[0]["seconds"]
    with pytest.raises(MemoryError, match="use more ranks"):
        plan_operation(operation, sizes, 2, "f8", memory=1, k=k)


def test_the_plan_of_a_cholesky_factorization():
    operation, values = find_operation("cholesky"), []
    for ranks in (1, 2, 64, 1024):
        found = plan_operation(operation, (40_000,), ranks, "f8")
        one = found.algorithm == "LAPACK on rank 0"
        assert one == (ranks == 1)
        values.append(found.values(Machine()))
    assert values[0]["received"] == 0
    for name in ("memory", "seconds"):
        assert all(b[name] < 0.9 * a[name] for a, b in pairwise(values)), name
    small = plan_operation(operation, (200,), 64, "f8")
    assert small.algorithm == "LAPACK on rank 0"


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("cholesky", [500_000]),
        ("eigh", [10_000]),
        ("svd", [10_000, 10_000]),
        ("multiply", [1_000_000] * 3),
    ],
)
def test_a_plan_refuses_more_calls_than_it_can_count(name, sizes, monkeypatch):
    operation = find_operation(name)
    monkeypatch.setattr(cost_model, "MAX_CALLS", 1000)
    assert plan_operation(operation, sizes, 1, "f8")  # nothing is sent
    for ranks in (4, 64):
        with pytest.raises(ValueError, match=r"more than 1,000 calls.*smaller"):
            plan_operation(operation, sizes, ranks, "f8")


@pytest.mark.parametrize(
    ("name", "sizes", "k"),
    [
        ("cholesky", [10**9], 0),
        ("eigh", [10**9], 0),
        ("svd", [10**9, 10**9], 0),
        ("lstsq", [10**9, 10**9], 0),
        ("eigsh", [10**9], 10**8),
        ("svds", [10**9, 10**9], 10**8),
        ("multiply", [10**10] * 3, 0),
    ],
)
@pytest.mark.parametrize("ranks", [2, 64, 1024])
def test_a_plan_of_a_huge_matrix_is_refused_at_once(name, sizes, k, ranks, monkeypatch):
    left = iter(range(50))  # calls; more are not counted one by one
    monkeypatch.setattr(Traffic, "_add", lambda *_: next(left))
    monkeypatch.setattr(cost_model, "product", lambda *_args, **_options: 1 / 0)
    with pytest.raises(ValueError, match=r"more than 1,500,000 calls"):
        plan_operation(find_operation(name), sizes, ranks, "f8", k=k)


def test_a_plan_refuses_more_values_than_there_are():
    for name in ("eigsh", "svds"):
        with pytest.raises(ValueError, match="k=7"):
            plan_operation(find_operation(name), (6,), 2, "f8", k=7)


def test_the_plan_of_a_gram_matrix_computes_half_of_it():
    whole = plan_operation(find_operation("multiply"), (64, 64, 4096), 1, "f8")
    half = plan_operation(find_operation("gram"), (4096, 64), 1, "f8")
    times = [found.seconds(Machine()) for found in (half, whole)]
    assert times[0] == pytest.approx(times[1] / 2)

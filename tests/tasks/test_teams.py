"""Tasks of several ranks, each with its own communicator."""

import time

import pytest

from mpiapps.tasks.teams import Teams

pytestmark = pytest.mark.mpi


def total(comm, item):
    time.sleep(0.002)
    ranks = comm.allgather(comm.rank)
    return item, comm.size, comm.allreduce(1), ranks


def fails(comm, item):
    if item == 1:
        raise ValueError(f"no {item} on {comm.rank}")
    return comm.allreduce(item)


def test_each_task_has_the_requested_number_of_ranks(comm):
    max_size = max(1, comm.size - 1)
    sizes = [1 + n % max_size for n in range(13)]
    with Teams(comm) as teams:
        if teams is not None:
            results = teams.map(total, range(13), sizes)
            assert results == [(n, k, k, list(range(k))) for n, k in enumerate(sizes)]
            assert teams.map(total, [], 1) == []
            assert [item for item, *_ in teams.map(total, "ab", max_size)] == ["a", "b"]


def test_errors_are_raised_on_the_root(comm):
    max_size = max(1, comm.size - 1)
    with Teams(comm) as teams:
        if teams is not None:
            with pytest.raises(ValueError, match="no 1 on") as caught:
                teams.map(fails, range(3), max_size)
            assert "in fails" in str(caught.value.__cause__)
            assert teams.map(fails, [2], max_size) == [2 * max_size]
            with pytest.raises(ValueError, match=f"give 1 to {max_size}"):
                teams.map(total, [0], max_size + 1)
            with pytest.raises(ValueError, match="2 sizes for 1 items"):
                teams.map(total, [0], [1, 1])


def test_a_call_that_is_left_early_ends(comm):
    with Teams(comm) as teams:
        if teams is not None:
            for number, result in teams.imap_unordered(total, range(20), 1):
                assert result[0] == number
                break

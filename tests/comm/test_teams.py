"""Tasks of several ranks each: packed, each with a communicator of its own."""

import time

import pytest

from mpiapps.comm.teams import Teams

pytestmark = pytest.mark.mpi


def total(comm, item):
    time.sleep(0.002)
    ranks = comm.allgather(comm.rank)
    return item, comm.size, comm.allreduce(1), ranks


def fails(comm, item):
    if item == 1:
        raise ValueError(f"no {item} on {comm.rank}")
    return comm.allreduce(item)


def test_each_task_has_as_many_ranks_as_it_asked_for(comm):
    most = max(1, comm.size - 1)
    sizes = [1 + n % most for n in range(13)]
    with Teams(comm) as teams:
        if teams is not None:
            found = teams.map(total, range(13), sizes)
            assert found == [(n, k, k, list(range(k))) for n, k in enumerate(sizes)]
            assert teams.map(total, [], 1) == []
            assert [each[0] for each in teams.map(total, "ab", most)] == ["a", "b"]


def test_errors_are_raised_where_results_are_asked_for(comm):
    most = max(1, comm.size - 1)
    with Teams(comm) as teams:
        if teams is not None:
            with pytest.raises(ValueError, match="no 1 on") as caught:
                teams.map(fails, range(3), most)
            assert "in fails" in str(caught.value.__cause__)
            assert teams.map(fails, [2], most) == [2 * most]
            with pytest.raises(ValueError, match=f"give 1 to {most}"):
                teams.map(total, [0], most + 1)
            with pytest.raises(ValueError, match="2 sizes for 1 items"):
                teams.map(total, [0], [1, 1])

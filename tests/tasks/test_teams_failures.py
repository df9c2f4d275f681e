"""A task that fails on one rank of its team, for which the others wait."""

from tests.commands import on_ranks

SCRIPT = """
from mpiapps.comm import open_world
from mpiapps.tasks import teams
teams.GRACE_SECONDS = 0.5

def fails(comm, item):
    if comm.rank == 1:
        raise ValueError("wrong rank")
    comm.Barrier()

with open_world() as world, teams.Teams(world.comm) as pool:
    if pool is not None:
        pool.map(fails, [1], 2)
"""


def test_the_run_ends_with_the_tasks_error():
    ended = on_ranks("mpich", 3, "-c", SCRIPT)
    assert ended.code != 0
    assert "task 0 failed on a rank, and other ranks of its team" in ended.err
    assert "ValueError: wrong rank" in ended.err

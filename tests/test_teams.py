"""A team of which one rank fails and the others wait for it."""

from tests.launch import on_ranks

SCRIPT = """
from mpiapps.comm import open_world, teams
teams.GRACE = 0.5

def fails(comm, item):
    if comm.rank == 1:
        raise ValueError("not here")
    comm.Barrier()

with open_world() as world, teams.Teams(world.comm) as some:
    if some is not None:
        some.map(fails, [1], 2)
"""


def test_it_ends_the_run_with_the_reason():
    ended = on_ranks("mpich", 3, "-c", SCRIPT)
    assert ended.code != 0
    assert "task 0 failed on a rank, and others of its team still" in ended.err
    assert "ValueError: not here" in ended.err

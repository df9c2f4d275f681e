"""Measurements between ranks, as if even and odd ranks were on two hosts."""

import time

import pytest

from mpiapps.comm.world import World

HOSTS = ("localhost", "other")


class TwoHosts(World):
    """A world whose odd ranks are on another host."""

    def _set_comm(self, comm):
        super()._set_comm(comm)
        self.host = HOSTS[self.rank % 2]
        self.node = self.comm.Split(self.rank % 2)
        self.local_rank, self.local_size = self.node.rank, self.node.size


@pytest.fixture
def world():
    with TwoHosts() as world:
        yield world


@pytest.fixture
def hosts(world):
    from mpiapps.diagnostics.measure import Hosts

    return Hosts.of(world)


@pytest.mark.mpi
def test_first_and_second_ranks_of_hosts(world, hosts):
    count = min(world.size, 2)
    assert hosts.leaders == [0, 1][:count]
    assert hosts.names == list(HOSTS[:count])
    assert hosts.seconds == [r if r < world.size else -1 for r in (2, 3)][:count]


@pytest.mark.mpi
def test_messages_within_and_between_hosts(world, hosts):
    from mpiapps.diagnostics.measure import messages

    rows = messages(world, hosts, 1000)
    expected = {1: [], 2: [[0, 1]], 3: [[0, 1], [0, 2]]}
    expected |= {4: [[0, 1], [0, 2], [1, 3]]}
    if world.is_root:
        assert sorted(row["ranks"] for row in rows) == expected[min(world.size, 4)]
        assert all(row["latency"] > 0 and row["bandwidth"] > 0 for row in rows)
    else:
        assert rows == []


@pytest.mark.mpi
def test_memory_bandwidth_of_each_rank(world):
    from mpiapps.diagnostics.measure import memory_bandwidth

    rates = memory_bandwidth(world, 1 << 16)
    assert (rates is None) == (not world.is_root)
    assert not rates or (len(rates) == world.size and min(rates) > 0)


@pytest.mark.mpi
def test_a_clock_that_is_an_hour_fast(world, hosts, monkeypatch):
    from mpiapps.diagnostics.measure import clock_offsets

    if world.host == HOSTS[1]:
        clock = time.time
        monkeypatch.setattr(time, "time", lambda: clock() + 3600)
    rows = clock_offsets(world, hosts)
    if world.is_root and world.size > 1:
        assert rows[1]["host"] == HOSTS[1]
        assert abs(rows[1]["offset"] - 3600) <= rows[1]["error"] + 1e-3


@pytest.mark.mpi
def test_a_lock_is_seen_by_the_other_host(world, hosts, tmp_path):
    from mpiapps.diagnostics.measure import locks

    directory = world.comm.bcast(tmp_path, root=0)
    rows = locks(world, hosts, directory)
    if world.is_root and world.size > 1:
        assert rows == [{"host": HOSTS[1], "seen": True, "locked": True}]
    world.comm.Barrier()  # the first host removes its file last
    assert list(directory.iterdir()) == []


@pytest.mark.mpi
def test_a_directory_that_is_not_shared(world, hosts, tmp_path):
    """Each rank has a directory of its own, so the others do not see a file there."""
    from mpiapps.diagnostics import measure

    limit, measure.APPEARS = measure.APPEARS, 0.0
    try:
        path = tmp_path / "file"
        row = measure._try_lock(path)
    finally:
        measure.APPEARS = limit
    assert row == {"seen": False, "locked": False}
    rows = measure.locks(world, hosts, tmp_path / "missing")
    assert rows in ([], None)


@pytest.mark.mpi
def test_connections_to_the_first_host(world, hosts):
    from mpiapps.diagnostics.measure import connections

    rows = connections(world, hosts)
    if world.is_root and world.size > 1:
        assert rows == [{"host": HOSTS[1], "target": HOSTS[0], "error": ""}]


@pytest.mark.mpi
def test_a_rank_reports_its_cpus_and_threads(world):
    import os

    from mpiapps.diagnostics.placement import expand, rank_row

    row = rank_row(world.rank, world.host)
    assert expand(row["cpus"]) == os.sched_getaffinity(0)
    assert row["threads"] == 1

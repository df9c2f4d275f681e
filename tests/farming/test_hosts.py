"""A farm over several hosts: here each rank plays one."""

import socket
from pathlib import Path

import pytest

from mpiapps import farm
from mpiapps.base.errors import InputError
from mpiapps.farm import Options
from mpiapps.farming.journal import read

pytestmark = pytest.mark.mpi


@pytest.fixture
def place(world, tmp_path):
    return Path(world.comm.bcast(str(tmp_path)))


@pytest.fixture(autouse=True)
def each_rank_a_host(monkeypatch, world):
    def hosts(self, _world):
        self.cpus = set()
        self.keepers = list(range(world.size))
        self.cores = [2] * world.size

    monkeypatch.setattr(farm.Hosts, "__init__", hosts)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 40])
def test_tasks_on_all_hosts(world, place, n):
    tasks = place / "tasks"
    if world.is_root:
        # The processes that do them have the ranks as their grandparents.
        tasks.write_text(f"grep PPid /proc/$PPID/status >>{place}/parents\n" * n)
    result = farm.run(world, Options(str(tasks)))
    assert (result.values["done"], result.exit_code) == (n, 0)
    if world.is_root:
        records = read(Path(f"{tasks}.farm", "journal")).records[1:]
        assert len(records) == n
        assert {each["host"] for each in records} <= {socket.gethostname()}
        if n == 40:
            parents = set((place / "parents").read_text().split("\n")) - {""}
            assert len(parents) == world.size


def test_ends_of_all_kinds_come_from_all_hosts(world, place):
    if world.is_root:
        lines = [f"exit {n % 3}" for n in range(24)] + ["sleep 9 #: time=1s cores=2"]
        (place / "tasks").write_text("\n".join(lines))
    result = farm.run(world, Options(str(place / "tasks")))
    assert result.exit_code == 3
    assert (result.values["done"], result.values["failed"]) == (8, 17)


def test_a_task_that_fits_no_host_is_told_on_all_ranks(world, place):
    if world.is_root:
        (place / "tasks").write_text("true #: cores=3\n")
    world.comm.Barrier()
    with pytest.raises(InputError, match="needs 3 cores"):
        farm.run(world, Options(str(place / "tasks")))

"""A farm over several hosts, simulated with one host per rank."""

import socket
from pathlib import Path

import pytest

from mpiapps import farm
from mpiapps.app.context import RunContext
from mpiapps.base.errors import InputError
from mpiapps.farm import Options
from mpiapps.storage.journal import read
from mpiapps.taskfarm.slot_executor import Hosts

pytestmark = pytest.mark.mpi


@pytest.fixture
def directory(world, tmp_path):
    return Path(world.comm.bcast(str(tmp_path)))


@pytest.fixture(autouse=True)
def each_rank_a_host(monkeypatch, world):
    def hosts(self, _world):
        self.cpus = set()
        self.agents = list(range(world.size))
        self.cores = [2] * world.size

    monkeypatch.setattr(Hosts, "__init__", hosts)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 40])
def test_tasks_on_all_hosts(world, directory, n):
    tasks = directory / "tasks"
    if world.is_root:
        # The grandparent of a task's shell is a rank.
        tasks.write_text(f"grep PPid /proc/$PPID/status >>{directory}/parents\n" * n)
    result = farm.run(RunContext.make(world), Options(str(tasks)))
    assert (result.values["done"], result.exit_code) == (n, 0)
    if world.is_root:
        records = read(Path(f"{tasks}.farm", "journal")).records[1:]
        assert len(records) == n
        assert {record["host"] for record in records} <= {socket.gethostname()}
        if n == 40:
            parents = set((directory / "parents").read_text().split("\n")) - {""}
            assert len(parents) == world.size


def test_failures_and_timeouts_on_all_hosts(world, directory):
    if world.is_root:
        lines = [f"exit {n % 3}" for n in range(24)] + ["sleep 9 #: time=1s cores=2"]
        (directory / "tasks").write_text("\n".join(lines))
    result = farm.run(RunContext.make(world), Options(str(directory / "tasks")))
    assert result.exit_code == 3
    assert (result.values["done"], result.values["failed"]) == (8, 17)


def test_task_that_fits_no_host_raises_on_all_ranks(world, directory):
    if world.is_root:
        (directory / "tasks").write_text("true #: cores=3\n")
    world.comm.Barrier()
    with pytest.raises(InputError, match="needs 3 cores"):
        farm.run(RunContext.make(world), Options(str(directory / "tasks")))

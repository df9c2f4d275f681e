"""Scripts written for dask-mpi run unaltered in a cluster of `mpiapps.dask`."""

import json

import pytest

from tests.commands import bin_directory, on_ranks, run

pytestmark = pytest.mark.usefixtures("preloaded")

# The form that dask-mpi's page on batch jobs documents.
BATCH = """
from dask_mpi import initialize
initialize()

from distributed import Client
client = Client()

print(client.submit(sum, [1, 2, 3]).result(), len(client.nthreads()))
"""
# A function run by dask-mpi, on a client that it creates.
EXECUTE = """
from dask_mpi import execute
from distributed import Client

def main(first, second, *, power):
    with Client() as client:
        futures = client.map(pow, [first, second], [power, power])
        print(sum(client.gather(futures)), len(client.nthreads()))

if __name__ == "__main__":
    execute(main, (2, 3), {"power": 2}, exclusive_workers=True)
"""
# The ranks go on after the cluster, on a part of the world.
NO_EXIT = """
from distributed import Client
from mpi4py.MPI import COMM_WORLD as world
from dask_mpi.core import initialize, send_close_signal

part = world.Split(1 if world.rank == 3 else 0)
if world.rank != 3 and initialize(comm=part, exit=False):
    with Client() as client:
        print(client.submit(abs, -13).result(), len(client.nthreads()))
    send_close_signal()
world.Barrier()
assert world.bcast(100 if world.rank == 0 else 200) == 100
"""


@pytest.mark.parametrize(
    ("script", "out"),
    [(BATCH, "6 2\n"), (EXECUTE, "13 2\n"), (NO_EXIT, "13 2\n")],
    ids=["initialize", "execute", "no exit"],
)
def test_a_script_of_dask_mpi_runs_unaltered(script, out, tmp_path):
    file, record = tmp_path / "script.py", tmp_path / "record.json"
    file.write_text(script)
    done = on_ranks(
        "openmpi", 3, "-m", "mpiapps.dask", "--json", str(record), str(file)
    )
    assert (done.code, done.out) == (0, out), done.err
    assert "Traceback" not in done.err
    assert json.loads(record.read_text())["finished"]


def test_mpiapps_run_starts_it(tmp_path):
    file = tmp_path / "script.py"
    file.write_text(BATCH)
    command = str(bin_directory("openmpi") / "mpiapps")
    done = run([command, "run", "dask", "-n", "3", str(file)])
    assert (done.code, done.out) == (0, "6 2\n"), done.err

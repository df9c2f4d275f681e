"""Options of Dask's workers, and a number of workers that changes within a job."""

import json

import pytest

from tests.commands import ROOT, on_ranks

pytestmark = pytest.mark.usefixtures("preloaded")

SCRIPT = str(ROOT / "tests" / "dask_cluster" / "scaled.py")
PRELOAD = """
import os
def dask_setup(worker):
    os.environ["MPIAPPS_PRELOADED"] = str(worker.name)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the script once; return what it found, and the record."""
    directory = tmp_path_factory.mktemp("scaled")
    (directory / "early.py").write_text(PRELOAD)
    record = directory / "record.json"
    done = on_ranks(
        "openmpi", 3, "-m", "mpiapps.dask",
        "--set", "distributed.worker.memory.terminate=0.98",
        "--set", "distributed.worker.memory.spill=0.5", "--resources", "LICENCE=2",
        "--preload", str(directory / "early.py"), "--json", str(record), SCRIPT,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "ERROR" not in done.err
    assert "Traceback" not in done.err
    return json.loads(done.out), json.loads(record.read_text())["values"]


def test_settings_resources_and_preloads_reach_each_worker(run):
    found, _ = run
    assert found["names"] == ["1", "2"]
    assert sorted(found["workers"]) == [
        [0.98, name, 0.5, {"LICENCE": 2.0}] for name in found["names"]
    ]
    assert found["client"] == 0.5
    assert found["resource"] == 1


def test_a_retired_worker_hands_its_data_to_the_others(run):
    found, _ = run
    assert found["down"] == [1, 1]
    assert found["kept"] == list(range(8))
    assert found["stayed"]


def test_a_rank_gets_its_worker_again_with_the_same_options(run):
    found, values = run
    assert found["up"] == [2, 2]
    assert sorted(found["again"]) == sorted(found["workers"])
    assert values["restarts"] == 0  # none died


def test_the_number_of_workers_follows_the_load(run):
    found, _ = run
    assert found["from none"] == 3


def test_more_workers_than_ranks_are_refused(run):
    found, _ = run
    assert "scale(3): the job has 2 ranks with a worker" in found["too many"]
    assert "scale(-1)" in found["negative"]
    assert "expected 0 <= minimum <= maximum" in found["bounds"]


def test_a_misspelt_setting_ends_the_run_before_the_script():
    setting = "distributed.worker.memory.terminat=1"
    done = on_ranks("openmpi", 2, "-m", "mpiapps.dask", "--set", setting, SCRIPT)
    assert (done.code, done.out) == (2, "")
    assert done.err.count("did you mean distributed.worker.memory.terminate?") == 1


SLOW_END = """
import time
from mpiapps.comm import open_world
from mpiapps.dask import dask_on_ranks
from mpiapps.dask_cluster.host_process import HostProcess

terminate = HostProcess.terminate
def terminate_slowly(self):
    time.sleep(0.5 if self._socket.fileno() >= 0 else 0)
    terminate(self)
HostProcess.terminate = terminate_slowly
with open_world() as world:
    with dask_on_ranks(world.comm, settings={"distributed.worker.memry": 1}):
        pass
"""


def test_an_error_at_start_is_printed_once_though_only_the_root_ends_a_process():
    done = on_ranks("openmpi", 2, "-c", SLOW_END)
    assert done.code == 2
    assert "rank 0 of 2" in done.err
    assert done.err.count("Dask has no setting distributed.worker.memry") == 1


CUT = """
import time
from distributed import Client

def cut(dask_scheduler):
    address = min(dask_scheduler.workers)
    dask_scheduler.stream_comms[address].comm.abort()

with Client() as client:
    before = set(client.scheduler_info(n_workers=-1)["workers"])
    client.run_on_scheduler(cut)
    end, now = time.monotonic() + 60, before
    while (now == before or len(now) < 2) and time.monotonic() < end:
        time.sleep(0.05)
        now = set(client.scheduler_info(n_workers=-1)["workers"])
    print(len(before), len(now), len(before & now))
"""


def test_a_worker_whose_connection_broke_is_started_again(tmp_path):
    (tmp_path / "cut.py").write_text(CUT)
    done = on_ranks("openmpi", 3, "-m", "mpiapps.dask", str(tmp_path / "cut.py"))
    assert (done.code, done.out.split()) == (0, ["2", "2", "1"]), done.err
    assert "has left; it is started again" in done.err


RETIRED = """
import time
from distributed import Client

async def retire(dask_scheduler, address):
    await dask_scheduler.retire_workers(
        workers=[address], close_workers=True, stimulus_id="mine"
    )

async def has_retired(dask_scheduler, rank):
    return await dask_scheduler.handlers["mpiapps_retired"](rank=rank)

with Client() as client:
    workers = client.scheduler_info(n_workers=-1)["workers"]
    first, second, third = sorted(workers)
    client.retire_workers([first], close_workers=True, remove=False)
    client.run_on_scheduler(retire, address=second)
    end = time.monotonic() + 60
    while len(client.nthreads()) > 1 and time.monotonic() < end:
        time.sleep(0.05)
    for worker in (first, second, third):
        rank = str(workers[worker]["name"])
        print(client.run_on_scheduler(has_retired, rank=rank))
"""


def test_the_scheduler_knows_workers_that_the_user_retired(tmp_path):
    """Their nannies wait, instead of starting them again."""
    (tmp_path / "retired.py").write_text(RETIRED)
    done = on_ranks("openmpi", 4, "-m", "mpiapps.dask", str(tmp_path / "retired.py"))
    assert (done.code, done.out.split()) == (0, ["True", "True", "False"]), done.err
    assert "has left; it is started again" not in done.err


def test_a_missing_preload_is_named():
    missing = "no_such_module_here"
    done = on_ranks("openmpi", 2, "-m", "mpiapps.dask", "--preload", missing, SCRIPT)
    assert done.code == 78
    assert missing in done.err

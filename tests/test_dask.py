"""Dask on ranks, as scripts and programs use it."""

import json
import os
import socket
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from mpiapps.dask_cluster.local_directory import LOCK_SECONDS, PREFIX
from tests.commands import ROOT, on_ranks, python_path
from tests.dask_cluster.victims import VICTIM, run

pytestmark = pytest.mark.usefixtures("preloaded")

SETS = """
import os, sys, time
import dask
from dask_mpi import initialize

initialize()
os.environ["MPIAPPS_SET"] = "1"
del os.environ["MPIAPPS_GOES"]
sys.path.insert(0, sys.argv[1])
dask.config.set({"array.chunk-size": "7MiB"})

from distributed import Client

def look():
    import beside

    names = "MPIAPPS_SET", "MPIAPPS_GOES"
    size = dask.config.get("array.chunk-size")
    return [beside.X, size, *map(os.environ.get, names)]

with Client() as client:
    for _ in range(2):
        print(*client.run(look).values())
        client.restart()
    time.sleep(2)  # longer than it may be idle
    print(client.submit(sum, [1, 2]).result(), client.dashboard_link)
"""
# Of a site.
SETTINGS = """
logging-file-config: {directory}/logging.ini
distributed:
  comm: {{tls: {{ciphers: ECDHE-RSA-AES256-GCM-SHA384, max-version: 1.2}}}}
  scheduler: {{idle-timeout: 1s}}
"""
LOGGING = """
[loggers]
keys = root
[handlers]
keys = file
[formatters]
keys =
[logger_root]
level = INFO
handlers = file
[handler_file]
class = FileHandler
args = ("{directory}/dask.log",)
"""


def test_settings_of_scripts_and_sites_apply(tmp_path):
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "beside.py").write_text("X = 5\n")
    (tmp_path / "script.py").write_text(SETS)
    (tmp_path / "dask.yaml").write_text(SETTINGS.format(directory=tmp_path))
    (tmp_path / "logging.ini").write_text(LOGGING.format(directory=tmp_path))
    done = on_ranks("openmpi", 3, "-m", "mpiapps.dask", str(tmp_path / "script.py"),
                    str(modules), DASK_CONFIG=str(tmp_path / "dask.yaml"),
                    MPIAPPS_GOES="1")  # fmt: skip
    assert done.code == 0, done.err
    inherited = "[5, '7MiB', '1', None] [5, '7MiB', '1', None]"
    assert done.out.splitlines() == [
        inherited, inherited, "3 none, without --dashboard"
    ]  # fmt: skip
    assert "Register worker" in (tmp_path / "dask.log").read_text()


def test_a_cluster_without_a_script_ends_when_idle(tmp_path):
    file = str(tmp_path / "dask.json")
    done = on_ranks("openmpi", 2, "-m", "mpiapps.dask", "--scheduler-file", file,
                    DASK_DISTRIBUTED__SCHEDULER__IDLE_TIMEOUT="5s")  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert done.seconds < 25  # a client alone would try for 30 s to get through


@pytest.mark.parametrize("size", [1, 2, 3])
def test_it_runs_on_any_number_of_ranks(size, tmp_path):
    record = tmp_path / "record.json"
    done = run("openmpi", size, "restarts", "--json", str(record))
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["20 ['a', '--b']", str(max(1, size - 1))]
    values = json.loads(record.read_text())["values"]
    assert values["tasks"] == 5
    assert values["restarts"] == 0  # none died
    workers = max(1, size - 1)
    assert values["memory_bytes"] == [400_000_000] * workers
    assert len(values["threads"]) == len(values["peak_bytes"]) == workers


def test_leftovers_of_a_killed_run_are_reported(tmp_path):
    left = tmp_path / f"{PREFIX}abc"
    left.mkdir()
    (left / "owner").touch()
    time.sleep(LOCK_SECONDS)
    done = run("openmpi", 2, "returns", TMPDIR=str(tmp_path))
    assert done.code == 0
    assert f"{left} was left by a killed run" in done.err
    assert left.is_dir()


def test_a_missing_local_directory_is_reported_once(tmp_path):
    missing = tmp_path / "missing"
    done = run("openmpi", 3, "returns", "--local-directory", str(missing))
    assert done.code == 78
    assert done.err.count(str(missing)) == 1
    assert done.out == ""


def test_an_unknown_interface_is_reported():
    done = run("openmpi", 2, "returns", "--interface", "ib7")
    assert done.code == 78
    assert "--interface ib7 is not an interface of this host" in done.err
    assert " lo" in done.err


def test_too_little_memory_for_a_worker_is_rejected():
    done = on_ranks(
        "openmpi", 3, "-m", "mpiapps.dask", "--memory", "64MB", VICTIM, "returns"
    )
    assert done.code == 2
    assert done.err.count("of memory, of which Dask itself takes 60 MiB") == 1
    assert done.out == ""


# Run a program without an optional package.
WITHOUT = """
import sys, importlib.util
there = importlib.util.find_spec
importlib.util.find_spec = lambda name: there(name) if name != "{absent}" else None
from mpiapps.app import main
from mpiapps.{program} import PROGRAM
sys.exit(main(PROGRAM))
"""


@pytest.mark.parametrize(
    ("program", "absent", "words", "extra"),
    [
        ("dask", "distributed", [VICTIM, "returns"], "dask"),
        ("crossval", "sklearn", [], "learn"),
        ("tips", "pyarrow", [VICTIM], "files"),
        ("tips", "matplotlib", [VICTIM, "--plot", "x.png"], "plot"),
    ],
)
def test_a_missing_package_is_reported(program, absent, words, extra, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(WITHOUT.format(absent=absent, program=program))
    done = on_ranks("openmpi", 2, str(script), *words)
    assert done.code == 78, done.err
    assert done.err.count(f"-m pip install 'mpiapps[{extra}]'") == 1
    assert "Traceback" not in done.err


def test_any_interface_with_an_address_works():
    found = [
        name
        for name, addresses in psutil.net_if_addrs().items()
        if socket.AF_INET in {each.family for each in addresses}
    ]
    assert found
    for interface in found:
        done = run("openmpi", 2, "returns", "--interface", interface)
        assert (done.code, done.err) == (0, ""), interface


def test_a_missing_script_is_reported_before_the_start(tmp_path):
    words = ("-m", "mpiapps.dask", str(tmp_path / "no.py"))
    done = on_ranks("openmpi", 2, *words)
    assert done.code == 2
    assert "no such file" in done.err


CPUS = sorted(os.sched_getaffinity(0))
# Each rank has one processor; a task on each worker returns the worker's mask.
PROCESSORS = f"""
import json, os
from distributed import get_worker
from mpiapps.comm import open_world
from mpiapps.dask import dask_on_ranks

def here():
    return str(get_worker().name), sorted(os.sched_getaffinity(0))

with open_world() as world:
    os.sched_setaffinity(0, [{CPUS}[world.rank % {len(CPUS)}]])
    ranks = world.comm.allgather(sorted(os.sched_getaffinity(0)))
    with dask_on_ranks(world.comm) as client:
        if client is not None:
            asked = [client.submit(here, workers=[name], pure=False)
                     for name in client.nthreads()]
            print(json.dumps([ranks, dict(client.gather(asked))]))
"""


def test_workers_have_the_processors_of_their_ranks(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PROCESSORS)
    done = on_ranks("openmpi", 3, str(script))
    assert done.code == 0, done.err
    ranks, workers = json.loads(done.out)
    assert workers == {str(rank): ranks[rank] for rank in (1, 2)}
    assert ranks[1] != ranks[2] or len(CPUS) == 1


PROGRAM = """
import time
from mpiapps.base.memory import memory_of_host
from mpiapps.comm import open_world
from mpiapps.dask import dask_on_ranks

with open_world() as world:
    half = world.comm.Split(world.rank % 2)
    with dask_on_ranks(half, threads=2) as client:
        if client is not None:
            threads = sorted(client.nthreads().values())
            [worker] = client.scheduler_info()["workers"].values()
            assert worker["memory_limit"] <= memory_of_host() / world.size
            total = client.submit(sum, [1, 2, world.rank]).result()
            if {wrong}:
                raise ValueError("not today")
            print(world.rank, threads, total, flush=True)
    world.comm.Barrier()
"""


def test_each_subcommunicator_has_its_own_cluster(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(wrong="False"))
    done = on_ranks("openmpi", 4, str(script))
    assert done.code == 0, done.err
    assert sorted(done.out.splitlines()) == ["0 [2] 3", "1 [2] 4"]
    assert done.err == ""


def test_an_error_in_the_block_ends_the_program(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(wrong="world.rank == 1"))
    done = on_ranks("mpich", 3, str(script))
    assert done.code == 1
    assert "ValueError: not today" in done.err
    assert "rank 1 of 3" in done.err


def test_workers_find_modules_where_the_program_does(tmp_path):
    (tmp_path / "beside.py").write_text("def triple(x):\n    return 3 * x\n")
    script = tmp_path / "program.py"
    script.write_text(
        "from beside import triple\n"
        "from mpiapps.comm import open_world\n"
        "from mpiapps.dask_cluster.dask_pool import choose_pool\n"
        "with open_world() as world, choose_pool(world.comm, 'dask') as tasks:\n"
        "    if tasks is not None:\n"
        "        print(tasks.map(triple, range(3)))\n"
    )
    done = on_ranks("openmpi", 2, str(script))
    assert (done.code, done.out, done.err) == (0, "[0, 3, 6]\n", "")


MAPPING = str(Path(__file__).parent / "dask_cluster" / "mapping.py")


@pytest.mark.parametrize("size", [1, 3])
def test_tasks_have_the_same_results_on_ranks_and_on_dask(size):
    ranks = on_ranks("openmpi", size, MAPPING, "mpi")
    dask = on_ranks("openmpi", size, MAPPING, "dask")
    assert (ranks.code, dask.code) == (0, 0), ranks.err + dask.err
    assert ranks.out == dask.out
    assert len(ranks.out.splitlines()) == 15 + (size > 1)
    assert ranks.err == dask.err == ""


def test_a_task_fails_alone_on_dask():
    done = on_ranks(
        "openmpi", 2, MAPPING, "dask", "hostile", PYTHONPATH=python_path(ROOT)
    )
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "('all', True)"


def test_an_unknown_backend_is_reported():
    done = on_ranks("openmpi", 2, MAPPING, "spark")
    assert done.code == 1
    assert "'spark' is not one of mpi, dask" in done.err


def test_a_failing_stop_hook_does_not_prevent_the_stop(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, time\n"
        "from mpiapps.dask import on_stop\n"
        "on_stop(lambda: 1 / 0)\n"
        "on_stop(lambda: print('saved', flush=True))\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "time.sleep(60)\n"
    )
    done = on_ranks("openmpi", 2, "-m", "mpiapps.dask", str(script))
    assert done.code == 75, done.err
    assert done.out == "saved\n"
    assert "ZeroDivisionError" in done.err


TWICE = """
from mpiapps.comm import open_world
from mpiapps.dask import dask_on_ranks

with open_world() as world:
    for insecure in (False, True):
        with dask_on_ranks(world.comm, insecure=insecure) as client:
            if client is not None:
                print(client.scheduler.address[:4], client.submit(sum, [1, 2]).result())
    world.comm.Barrier()
"""


def test_a_program_may_have_one_cluster_after_another(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(TWICE)
    done = on_ranks("openmpi", 3, str(script))
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["tls: 3", "tcp: 3"]


def test_a_large_array_has_the_same_numbers_on_dask_and_on_ranks(tmp_path):
    rng = np.random.default_rng(0)
    array = rng.standard_normal((400_000, 60)) * np.arange(1, 61) + 1e3
    np.save(tmp_path / "x.npy", array)  # 192 MB, more than a worker may have
    script = str(Path(__file__).parent / "dask_cluster" / "arrays.py")
    done = on_ranks("openmpi", 3, script, str(tmp_path / "x.npy"), "180000000")
    assert done.code == 0, done.err
    dask, ranks = json.loads(done.out)
    numpy = array.mean(), array.std(), array.mean(axis=0), array.std(axis=0)
    for one, other, exact in zip(dask, ranks, numpy, strict=False):
        np.testing.assert_allclose(one, np.atleast_1d(exact), rtol=1e-12)
        np.testing.assert_allclose(other, np.atleast_1d(exact), rtol=1e-12)
    np.testing.assert_allclose(dask[4], ranks[4], rtol=1e-11)

"""Launches on real daemons, for each MPI, scheduler, launcher and shape."""

import json

import pytest

from tests.cluster.hosts import (
    HAS_PMIX,
    SHAPES,
    SHARED,
    mpiapps,
    output,
    record,
    submit,
    wait,
)
from tests.commands import MPIS

LAUNCHERS = [("slurm", "mpiexec"), ("slurm", "srun"), ("sge", "mpiexec")]
# The last two: ranks per host and threads per rank, which use all cores.
MATRIX = [
    (mpi, scheduler, launcher, ranks, 2 // ranks)
    for mpi in MPIS
    for scheduler, launcher in LAUNCHERS
    for ranks in (2, 1)
    if HAS_PMIX or (mpi, launcher) != ("openmpi", "srun")
] + [("impi", "slurm", "srun-pmix", 2, 1)] * HAS_PMIX


@pytest.mark.parametrize("case", MATRIX, ids=lambda case: "-".join(map(str, case)))
def test_hosts_and_cores_of_ranks(case):
    mpi, scheduler, launcher, ranks, threads = case
    request = ["--launcher", launcher, "--nodes", str(SHAPES[scheduler][0])]
    request += ["--ranks-per-node", str(ranks), "--threads", str(threads)]
    run = submit(scheduler, "layout.py", *request, "--time", "10m", mpi=mpi)
    ended = wait(run)
    assert ended["state"] == "done", output(run)
    report = json.loads(
        next(line for line in output(run).splitlines() if line[:1] == "{")
    )
    assert report["size"] == SHAPES[scheduler][0] * ranks
    by_host = {}
    for host, cores, omp in report["rows"]:
        by_host.setdefault(host, []).append(cores)
        assert omp == str(threads)
    assert len(by_host) == SHAPES[scheduler][0]
    for cores in by_host.values():
        expected = [[0], [1]] if threads == 1 else [[0, 1]]
        assert sorted(cores) == expected  # no rank shares a core


# Messages of the package between ranks on several hosts, with each MPI.
PARTS = [(mpi, scheduler) for mpi in MPIS for scheduler in SHAPES]
FAILS = (
    "from mpiapps.comm import open_world\nwith open_world(): raise ValueError('all')\n"
)


@pytest.mark.parametrize(("mpi", "scheduler"), PARTS)
def test_checkpoint_failure_and_farm(mpi, scheduler, hits):
    (SHARED / "fails.py").write_text(FAILS)
    tasks = SHARED / "matrix.txt"
    tasks.write_text("".join(f"echo {n}\n" for n in range(12)))
    request = ["--nodes", "2", "--ranks-per-node", "2", "--time", "3m"]
    directory = str(SHARED / f"matrix-{mpi}-{scheduler}")
    words = ["--", "--samples", "1e7", "--checkpoint-every", "1"]
    saved = submit(scheduler, "pi", *request, *words, mpi=mpi)
    fails = submit(scheduler, "fails.py", *request, mpi=mpi)
    words = ["--", str(tasks), "--directory", directory]
    farm = submit(scheduler, "farm", *request, *words, mpi=mpi)
    assert wait(saved)["state"] == "done", output(saved)
    assert record(saved)["values"]["hits"] == hits
    ended = wait(fails)
    assert ended["state"] == "failed", output(fails)
    assert ended["code"] in (1, 255)  # 255: mpiexec of Intel MPI
    assert output(fails).count("ValueError: all") == 1
    assert wait(farm)["state"] == "done", output(farm)
    assert record(farm)["values"]["done"] == 12


# The last of two ranks does not start within the limit.
LATE = """import os, time
if os.environ["SLURM_PROCID"] == "1":
    time.sleep(600)
from mpiapps.comm import open_world
with open_world() as world:
    print("size", world.size, flush=True)
"""


def test_a_step_of_srun_with_a_rank_that_does_not_start_ends():
    (SHARED / "late.py").write_text(LATE)
    request = ["--launcher", "srun", "--nodes", "2", "--ranks-per-node", "1"]
    request += ["--time", "10m", "--env", "MPIAPPS_START_LIMIT=2s"]
    mpis = [mpi for mpi in MPIS if HAS_PMIX or mpi != "openmpi"]
    runs = [submit("slurm", "late.py", *request, mpi=mpi) for mpi in mpis]
    for run in runs:
        ended = wait(run, limit=60)
        assert ended["state"] == "failed", output(run)
        assert ended["code"] in (137, 143)  # of the rank, or of one that srun ended
        assert output(run).count("MPI_Init has not returned in 2s") == 1
        assert "size" not in output(run)


def test_site_probe_reports_plugins_that_srun_lacks():
    text = (SHARED / "slurm.toml").read_text()
    assert ("srun has no plugin pmix; Open MPI needs mpiexec" in text) != HAS_PMIX
    assert "no plugin pmi2" not in text


PAIRS = [("openmpi", "pmi2"), ("mpich", "pmix")] if HAS_PMIX else [("openmpi", "pmi2")]


@pytest.mark.parametrize(("mpi", "plugin"), PAIRS)
def test_incompatible_pairs_are_refused_and_detected_by_the_guard(mpi, plugin):
    request = ["--site", str(SHARED / "slurm.toml"), "--nodes", "2", "--mpi", mpi]
    ended = mpiapps("submit", "pi", *request, "--launcher", f"srun-{plugin}", mpi=mpi)
    assert ended.code == 2
    assert "use --launcher" in ended.err
    forced = SHARED / f"forced-{mpi}.toml"
    forced.write_text(
        (SHARED / "slurm.toml").read_text()
        + f'launch = ["srun", "--mpi={plugin}", "--ntasks={{ntasks}}"]\n'
    )
    request[1] = str(forced)
    ended = mpiapps("submit", "pi", *request, "--", "--samples", "1e6", mpi=mpi)
    assert ended.code == 0, ended.err
    run = ended.out.strip()
    ended = wait(run)
    assert (ended["state"], ended["code"]) == ("failed", 78), output(run)
    assert "srun --mpi=" in output(run)  # the remedy

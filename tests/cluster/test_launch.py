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


@pytest.fixture(scope="module")
def matrix():
    """Submit all jobs at once: the schedulers queue them."""
    return {
        case: submit(
            case[1],
            "layout.py",
            *["--launcher", case[2], "--nodes", str(SHAPES[case[1]][0])],
            *["--ranks-per-node", str(case[3]), "--threads", str(case[4])],
            *["--time", "10m"],
            mpi=case[0],
        )
        for case in MATRIX
    }


@pytest.mark.parametrize("case", MATRIX, ids=lambda case: "-".join(map(str, case)))
def test_hosts_and_cores_of_ranks(matrix, case):
    _, scheduler, _, ranks, threads = case
    ended = wait(matrix[case], limit=600)
    assert ended["state"] == "done", output(matrix[case])
    report = json.loads(
        next(line for line in output(matrix[case]).splitlines() if line[:1] == "{")
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


@pytest.fixture(scope="module")
def parts():
    """Submit, for each MPI: a run with a checkpoint, one that fails, and a farm."""
    (SHARED / "fails.py").write_text(FAILS)
    tasks = SHARED / "matrix.txt"
    tasks.write_text("".join(f"echo {n}\n" for n in range(12)))
    runs = {}
    for mpi, scheduler in PARTS:
        nodes, ranks = SHAPES[scheduler]
        request = ["--nodes", str(nodes), "--ranks-per-node", str(ranks)]
        request += ["--time", "3m"]
        directory = str(SHARED / f"matrix-{mpi}-{scheduler}")
        pi = ["--", "--samples", "1e7", "--checkpoint-every", "1"]
        farm = ["--", str(tasks), "--directory", directory]
        runs[mpi, scheduler] = [
            submit(scheduler, "pi", *request, *pi, mpi=mpi),
            submit(scheduler, "fails.py", *request, mpi=mpi),
            submit(scheduler, "farm", *request, *farm, mpi=mpi),
        ]
    return runs


@pytest.mark.parametrize("part", PARTS, ids="-".join)
def test_checkpoint_failure_and_farm(parts, hits, part):
    saved, fails, farm = parts[part]
    assert wait(saved, limit=600)["state"] == "done", output(saved)
    assert record(saved)["values"]["hits"] == hits
    ended = wait(fails, limit=600)
    assert ended["state"] == "failed", output(fails)
    assert ended["code"] in (1, 255)  # 255: mpiexec of Intel MPI
    assert output(fails).count("ValueError: all") == 1
    assert wait(farm, limit=600)["state"] == "done", output(farm)
    assert record(farm)["values"]["done"] == 12


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

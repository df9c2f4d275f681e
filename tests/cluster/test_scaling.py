"""`mpiapps scaling` on the hosts of the clusters: one job for each run."""

import json

import pytest

from tests.cluster.hosts import HAS_PMIX, SCHEDULERS, SHAPES, SHARED, mpiapps


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_study_of_hosts_is_submitted_then_collected(scheduler):
    nodes, ranks = SHAPES[scheduler]
    site = str(SHARED / f"{scheduler}.toml")
    words = ["scaling", "amdahl", "--site", site, "--mpi", "openmpi",
             "--nodes", f"1,{nodes}", "--ranks-per-node", str(ranks),
             "--repeats", "2", "--time", "5m", "--format", "json",
             "--directory", f"amdahl-{scheduler}.scaling"]  # fmt: skip
    arguments = ["--", "--work", "4", "--serial", "0"]
    submitted = mpiapps(*words, "--no-wait", *arguments)
    assert submitted.code == 0, submitted.out + submitted.err
    assert "4 jobs submitted" in submitted.err
    ended = mpiapps(*words, *arguments)
    assert ended.code == 0, ended.out + ended.err
    assert "jobs submitted" not in ended.err or "0 jobs submitted" in ended.err
    one, all_hosts = json.loads(ended.out)["rows"]
    assert (one["nodes"], one["ranks"], one["runs"]) == (1, ranks, 2)
    expected = (nodes, nodes * ranks, 2)
    assert (all_hosts["nodes"], all_hosts["ranks"], all_hosts["runs"]) == expected
    assert all_hosts["capacity"]["value"] > 0


@pytest.mark.parametrize(
    ("scheduler", "launcher"),
    [("slurm", "srun")] * HAS_PMIX + [("slurm", "mpiexec"), ("sge", "mpiexec")],
)
def test_a_study_in_one_allocation_uses_as_many_hosts_as_each_run_needs(
    scheduler, launcher
):
    nodes, ranks = SHAPES[scheduler]
    directory = SHARED / f"amdahl-{scheduler}-{launcher}.scaling"
    ended = mpiapps(
        "scaling", "amdahl", "--site", str(SHARED / f"{scheduler}.toml"),
        "--mpi", "openmpi",
        "--launcher", launcher, "--nodes", f"1,{nodes}", "--ranks-per-node", str(ranks),
        "--repeats", "1", "--time", "5m", "--format", "json", "--allocation", "one",
        "--directory", str(directory), "--", "--work", "2", "--serial", "0",
    )  # fmt: skip
    assert ended.code == 0, ended.out + ended.err
    assert "1 job submitted with 2 runs" in ended.err
    one, all_hosts = json.loads(ended.out)["rows"]
    assert (one["nodes"], one["ranks"]) == (1, ranks)
    assert (all_hosts["nodes"], all_hosts["ranks"]) == (nodes, nodes * ranks)
    for count in (1, nodes):
        step = f"{count}n{count * ranks}r1t-0"
        (path,) = directory.glob(f"runs/*/amdahl-allocation-1/{step}/record.json")
        rows = json.loads(path.read_text())["usage"]["ranks"]
        hosts = [row["host"] for row in rows]
        assert len(set(hosts)) == count
        assert all(hosts.count(host) == ranks for host in hosts)

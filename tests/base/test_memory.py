"""The memory of a job is its smallest limit."""

import pytest

from mpiapps.base.memory import memory_of_host, memory_of_rank

GB = 2**30


def cgroup_paths(tmp_path, membership, **limits):
    """Make a file system of cgroups; return it and the process's own directory."""
    process = tmp_path / "process"
    process.mkdir()
    (process / "cgroup").write_text(membership)
    for place, text in limits.items():
        file = tmp_path / "cgroups" / place.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return tmp_path / "cgroups", process


def test_smallest_limit_up_to_the_root_of_version_2(tmp_path):
    paths = cgroup_paths(tmp_path, "0::/job/step\n", **{
        "memory.max": "max", "job__memory.max": str(2 * GB),
        "job__step__memory.max": str(3 * GB), "job__step__x__memory.max": "1",
    })  # fmt: skip
    assert memory_of_host({}, *paths) == 2 * GB


def test_smallest_limit_up_to_the_root_of_version_1(tmp_path):
    paths = cgroup_paths(tmp_path, "5:cpu,memory:/job\n4:pids:/\n0::/\n", **{
        "memory__job__memory.limit_in_bytes": str(GB),
        "memory__memory.limit_in_bytes": str(2**63 - 4096),
        "job__memory.limit_in_bytes": "1",
    })  # fmt: skip
    assert memory_of_host({}, *paths) == GB


def test_path_of_the_host_in_a_container(tmp_path):
    paths = cgroup_paths(tmp_path, "0::/../../outside\n", **{"memory.max": str(GB)})
    assert memory_of_host({}, *paths) == GB


@pytest.mark.parametrize(
    ("environ", "megabytes"),
    [
        ({"SLURM_MEM_PER_NODE": "500"}, 500),
        ({"SLURM_MEM_PER_CPU": "100", "SLURM_CPUS_ON_NODE": "3"}, 300),
        ({"SLURM_MEM_PER_CPU": "100"}, 100),
    ],
)
def test_memory_requested_from_slurm(environ, megabytes):
    assert memory_of_host(environ) == megabytes * 2**20
    assert memory_of_rank(4, environ) == megabytes * 2**20 // 4


def test_physical_memory_without_limits(tmp_path):
    physical = memory_of_host({}, tmp_path, tmp_path)
    assert physical > 2**28
    assert memory_of_host({"SLURM_MEM_PER_NODE": "0"}, tmp_path, tmp_path) == physical

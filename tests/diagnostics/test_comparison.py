"""Findings from rows of ranks and hosts."""

import pytest

from mpiapps.diagnostics import comparison
from mpiapps.diagnostics.network_interfaces import shared_addresses
from mpiapps.diagnostics.placement import expand, gpus, numa_nodes, ranges
from mpiapps.diagnostics.probe import Examination, Finding
from tests.diagnostics.systems import write


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([0, 1, 2, 8], "0-2,8"), ([4, 6], "4,6")],
)
def test_ranges(numbers, text):
    assert ranges(numbers) == text
    assert expand(text) == set(numbers)


def rank(number, cpus, threads=1, host="a"):
    return {"rank": number, "host": host, "cpus": cpus, "threads": threads}


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([rank(0, "0"), rank(1, "1")], None),
        ([rank(0, "0-1"), rank(1, "0-1")], None),
        ([rank(0, "0"), rank(1, "0", host="b")], None),
        ([rank(0, "0"), rank(1, "0")], "2 ranks (rank 0, 1) share 1 CPU(s) 0"),
        ([rank(0, "0-1", 4)], "rank 0: 4 BLAS threads on 2 CPU(s)"),
        ([rank(0, "0-3", 2), rank(1, "0-3", 2)], None),
        ([rank(0, "0-3", 4), rank(1, "0-3", 4)], "OMP_NUM_THREADS=2"),
    ],
)
def test_placement(rows, text):
    found = comparison.placement(rows)
    assert bool(found) == bool(text), found
    if text:
        assert text in found[0].found + found[0].remedy


def versions(**changed):
    return dict.fromkeys(comparison.VERSIONS, "1") | changed


def test_versions_that_differ_name_the_hosts():
    hosts = {"a": versions(), "b": versions(numpy="2"), "c": versions()}
    (found,) = comparison.versions(hosts)
    assert found.found == "numpy differs: 1 (a, c); 2 (b)"
    assert found.grade == "warning"
    (found,) = comparison.versions({"a": versions(), "b": versions(mpi="MPICH 4")})
    assert found.grade == "error"
    assert comparison.versions({"a": versions(), "b": versions()}) == []


def test_the_same_address_on_two_hosts():
    hosts = {
        "a": {"eth0": "10.0.0.1", "docker0": "172.17.0.1"},
        "b": {"eth0": "10.0.0.2", "docker0": "172.17.0.1"},
    }
    assert list(shared_addresses(hosts)) == ["172.17.0.1"]
    (found,) = comparison.network_addresses(hosts)
    assert found.grade == "error"
    assert "docker0 of a, docker0 of b" in found.found
    assert "btl_tcp_if_exclude=lo,docker0 " in found.remedy
    assert comparison.network_addresses({"a": hosts["a"]}) == []


@pytest.mark.parametrize(
    ("offset", "error", "grade"),
    [(0.3, 0.001, None), (-2, 0.1, "warning"), (2, 3, None), (400, 1, "error")],
)
def test_clocks(offset, error, grade):
    found = comparison.clocks([{"host": "b", "offset": offset, "error": error}])
    assert [each.grade for each in found] == ([grade] if grade else [])


def test_a_work_directory_that_is_not_shared_or_has_local_locks():
    def row(host, seen, locked):
        return {"host": host, "seen": seen, "locked": locked}

    assert comparison.locks([row("b", True, True)], "/w") == []
    (found,) = comparison.locks([row("b", False, False)], "/w")
    assert (found.grade, "not shared" in found.found) == ("error", True)
    (found,) = comparison.locks([row("b", True, False), row("c", True, True)], "/w")
    assert (found.grade, "not seen on b" in found.found) == ("warning", True)


def test_a_host_that_cannot_connect():
    rows = [{"host": "b", "target": "a", "error": "timed out"},
            {"host": "c", "target": "a", "error": ""}]  # fmt: skip
    (found,) = comparison.connections(rows)
    assert found.found == "b cannot connect to a: timed out"
    assert "--interface" in found.remedy


def test_a_slow_host_among_three():
    rates = {"a": 10.0, "b": 9.0, "c": 4.0}
    (found,) = comparison.slow_hosts(rates, "memory")
    assert "memory of c is 44% of the median" in found.found
    assert comparison.slow_hosts({"a": 10.0, "c": 1.0}, "memory") == []
    rows = [rank(0, "0"), rank(1, "1"), rank(2, "0", host="b")]
    assert comparison.by_host(rows, [1.0, 3.0, 5.0]) == {"a": 2.0, "b": 5.0}


def test_a_finding_of_two_hosts_is_printed_once():
    finding = Finding("error", "small", "m", "r")
    found = Examination("dev-shm", "size", "found", (finding,))
    fine = Examination("dev-shm", "size", "ok")
    merged = comparison.merge_hosts({"b": [found], "a": [found], "c": [fine]})
    assert [each.status for each in merged] == ["found", "ok"]
    assert merged[0].findings[0].found == "a, b: small"


def test_numa_nodes_and_gpus(tmp_path):
    write(tmp_path, "node0/cpulist", "0-3\n")
    write(tmp_path, "node1/cpulist", "4-7\n")
    assert numa_nodes([2], tmp_path) == [0]
    assert numa_nodes([3, 4], tmp_path) == [0, 1]
    assert gpus({"CUDA_VISIBLE_DEVICES": "2,3"}) == ["2", "3"]
    assert gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    write(tmp_path, "proc/driver/nvidia/gpus/0000:01/information", "")
    assert gpus({}, tmp_path) == ["0"]

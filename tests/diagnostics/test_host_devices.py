"""CUDA devices of the hosts and ranks of a job: the table, and what differs."""

from mpiapps.diagnostics import host_devices
from mpiapps.diagnostics.job_report import as_text
from mpiapps.diagnostics.placement import cuda_devices
from mpiapps.diagnostics.probe import Examination
from tests.device import driver_library
from tests.diagnostics.systems import write

H100 = (
    "4 x NVIDIA H100 (80 GiB, compute capability 9.0)",
    "driver for CUDA up to 13.0",
)


def probes(*facts):
    return [
        Examination("tmpdir", "", "ok"),
        Examination(
            "cuda-devices", "", "ok" if facts else "not applicable", facts=facts
        ),
    ]


def rank(number, *devices, host="a"):
    return {"rank": number, "host": host, "cuda_devices": list(devices)}


def test_hosts_with_other_devices_or_none():
    hosts = host_devices.of_hosts({"a": probes(*H100), "b": probes(*H100)})
    assert hosts == {"a": list(H100), "b": list(H100)}
    assert host_devices.different(hosts) == []
    hosts = host_devices.of_hosts({"a": probes(*H100), "b": probes()})
    (found,) = host_devices.different(hosts)
    assert found.found.startswith("CUDA devices differ: 4 x NVIDIA H100")
    assert found.found.endswith("| none (b)")
    assert "--gpus TYPE:N" in found.remedy
    assert host_devices.of_hosts({"a": probes(), "b": probes()}) == {}


def test_devices_that_are_not_known_are_not_compared():
    for status in ("found", "failed", "timed out"):
        failed = [Examination("cuda-devices", "", status)]
        hosts = host_devices.of_hosts({"a": probes(*H100), "b": failed, "c": []})
        assert hosts == {"a": list(H100), "b": None, "c": None}
        assert host_devices.different(hosts) == []
    unknown = {**rank(1), "cuda_devices": None}
    assert host_devices.isolated([rank(0, "aa"), unknown]) == []


def test_a_job_that_isolates_devices_per_rank():
    """Each rank numbers its own device 0: only the UUIDs tell that they differ."""
    rows = [rank(0, "aa"), rank(1, "bb"), rank(2, "cc", "dd", host="b")]
    (found,) = host_devices.isolated(rows)
    assert found.grade == "warning"
    assert found.found.startswith("a: its 2 CUDA devices")
    assert "--gpus-per-task" in found.remedy
    (found,) = host_devices.isolated([rank(0, "aa"), rank(1)])
    assert found.grade == "error"
    assert "rank 1: 0" in found.found
    shared = [rank(0, "aa", "bb"), rank(1, "bb", "aa"), rank(2, host="b")]
    assert host_devices.isolated(shared) == []


def test_the_report_has_a_row_per_host_that_has_devices():
    empty = {"placement": [], "messages": [], "clocks": [], "probes": []}
    text = as_text({**empty, "cuda_devices": {"n1": list(H100), "n2": [], "n3": None}})
    assert "HOST  CUDA DEVICES\nn1    4 x NVIDIA H100" in text
    assert "\nn2    none\nn3    unknown\n" in text
    assert "CUDA" not in as_text({**empty, "cuda_devices": {}})


def test_devices_of_a_rank_are_their_uuids(tmp_path):
    environ = driver_library.host(CUDA_VISIBLE_DEVICES="1,0")
    assert cuda_devices(environ, tmp_path) == []
    write(tmp_path, "/proc/driver/nvidia/version", "")
    assert cuda_devices(environ, tmp_path) == ["02" * 16, "01" * 16]
    assert cuda_devices(driver_library.absent(), tmp_path) == []
    assert cuda_devices(driver_library.host(FAIL=100), tmp_path) == []
    for failure in (803, -1):
        assert cuda_devices(driver_library.host(FAIL=failure), tmp_path) is None

"""`mpiapps doctor` on the hosts of the clusters, alone and as a job."""

import json
import re

import pytest

from tests.cluster.hosts import HAS_PMIX, SHAPES, SHARED, mpiapps, on, shape
from tests.commands import MPIS, bin_directory

# Hosts have the files of the machine, so also an MPI of its distribution.
OTHER_MPI = re.compile("mpiexec on PATH is (/usr)?/bin/mpiexec of ")


def findings(probes, mpi="openmpi"):
    """Return the findings, less the right one that Open MPI cannot use this srun."""
    found = [
        (row["probe"], each)
        for row in probes
        for each in row["findings"]
        if not OTHER_MPI.search(each["found"])
    ]
    if mpi != "openmpi" or HAS_PMIX:
        return found
    rest = [each for each in found if each[0] != "srun-mpi"]
    assert len(rest) == len(found) - 1
    return rest


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("scheduler", SHAPES)
def test_hosts_of_a_job_have_no_finding(scheduler, mpi):
    site = str(SHARED / f"{scheduler}.toml")
    request = ["--site", site, "--mpi", mpi, *shape(scheduler), "--time", "5m"]
    ended = mpiapps("doctor", "--job", "--json", "--limit", "60", *request, mpi=mpi)
    assert ended.code == 0, ended.out + ended.err
    record = json.loads(ended.out)
    # The hosts share their cores with other tests, so their speeds differ.
    found = findings(record["values"]["probes"], mpi)
    assert [each for each in found if "of the median" not in each[1]["found"]] == []
    nodes, ranks = SHAPES[scheduler]
    placement = record["values"]["placement"]
    assert len(placement) == nodes * ranks
    assert len({row["host"] for row in placement}) == nodes
    between = [row for row in record["values"]["messages"] if len({*row["hosts"]}) == 2]
    assert len(between) == nodes - 1
    assert len(record["values"]["clocks"]) == nodes


@pytest.mark.parametrize("host", ["head", "n1"])
def test_a_host_has_no_finding(host):
    ended = on(
        host,
        str(bin_directory("openmpi") / "mpiapps"),
        "doctor",
        "--json",
        "--limit",
        "60",
    )
    assert ended.code == 0, ended.out + ended.err
    assert findings(json.loads(ended.out)["probes"]) == []


def test_a_host_without_munge():
    """The socket is away for a moment; the daemon is not touched."""
    doctor = f"{bin_directory('openmpi') / 'mpiapps'} doctor --json --limit 60"
    away = "mount -t tmpfs tmpfs /run/munge"
    ended = on("n1", "unshare", "-m", "sh", "-c", f"{away} && exec {doctor}")
    assert ended.code == 78, ended.out + ended.err
    names = {name for name, _ in findings(json.loads(ended.out)["probes"])}
    assert names == {"munge"}

"""Job scripts of PBS and LSF on several hosts, without the daemons of PBS and LSF.

The scripts run with the variables and files of a job, which the real launchers read. In
place of LSF's blaunch and PBS's pbsdsh, scripts of the same names use ssh.
"""

import json

import pytest

from tests.cluster.hosts import HERE, SHARED, mpiapps, on
from tests.commands import MPIS

# (ranks on each of two hosts, threads per rank)
SHAPES = [(2, 1), (1, 2)]


def environment(scheduler, ranks, threads):
    """Return the variables of a job on two hosts; LSF counts cores, PBS ranks."""
    if scheduler == "pbs":
        nodes = SHARED / f"nodes-{ranks}"
        nodes.write_text("n1\n" * ranks + "n2\n" * ranks)
        return {
            "PBS_JOBID": f"{ranks}.server",
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_NODEFILE": str(nodes),
            "PBS_O_WORKDIR": str(SHARED),
            "NCPUS": str(ranks * threads),
        }
    return {
        "LSB_JOBID": f"{ranks}",
        "LSB_JOBINDEX": "0",
        "LSF_BINDIR": str(HERE / "bin"),
        "LS_SUBCWD": str(SHARED),
        "LSB_MCPU_HOSTS": f"n1 {ranks} n2 {ranks}",
    }


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "{}x{}".format(*shape))
@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("scheduler", ["pbs", "lsf"])
def test_hosts_and_cores_of_ranks(scheduler, mpi, shape):
    ranks, threads = shape
    name = f"{scheduler}-{mpi}"
    request = ["--scheduler", scheduler, "--mpi", mpi, "--name", name, "--nodes", "2"]
    request += ["--ranks-per-node", str(ranks), "--threads", str(threads)]
    rendered = mpiapps("render", "layout.py", *request, mpi=mpi)
    assert rendered.code == 0, rendered.err
    (SHARED / f"{name}.sh").write_text(rendered.out)
    variables = environment(scheduler, ranks, threads)
    variables["PATH"] = f"{HERE / 'bin'}:/usr/bin:/bin"
    words = [f"{key}={text}" for key, text in variables.items()]
    ended = on("n1", "env", *words, "bash", f"{name}.sh")
    assert ended.code == 0, ended.err
    report = json.loads(next(line for line in ended.out.splitlines() if line[0] == "{"))
    assert report["size"] == 2 * ranks
    expected = [[0], [1]] if threads == 1 else [[0, 1]]
    for host in ("n1", "n2"):
        bound = [cores for name, cores, _ in report["rows"] if name == host]
        assert sorted(bound) == expected
    assert {omp for _, _, omp in report["rows"]} == {str(threads)}

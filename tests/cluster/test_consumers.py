"""PBS and LSF have no daemon here: their scripts run as theirs would run them.

On real hosts, with what a job of theirs finds in its environment; the launchers are the
real readers of it. They reach other hosts by ssh, which LSF's blaunch and PBS's pbsdsh
are made of here.
"""

import json

import pytest

from tests.cluster.hosts import HERE, PLACE, mpiapps, on
from tests.commands import MPIS

# Ranks on each of two hosts x threads of each.
SHAPES = [(2, 1), (1, 2)]


def environment(scheduler, ranks, threads):
    """Return what a job of two hosts finds there; LSF counts cores, PBS ranks."""
    if scheduler == "pbs":
        nodes = PLACE / f"nodes-{ranks}"
        nodes.write_text("n1\n" * ranks + "n2\n" * ranks)
        return {
            "PBS_JOBID": f"{ranks}.server",
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_NODEFILE": str(nodes),
            "PBS_O_WORKDIR": str(PLACE),
            "NCPUS": str(ranks * threads),
        }
    return {
        "LSB_JOBID": f"{ranks}",
        "LSB_JOBINDEX": "0",
        "LSF_BINDIR": str(HERE / "bin"),
        "LS_SUBCWD": str(PLACE),
        "LSB_MCPU_HOSTS": f"n1 {ranks} n2 {ranks}",
    }


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "{}x{}".format(*shape))
@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("scheduler", ["pbs", "lsf"])
def test_ranks_are_where_they_should_be(scheduler, mpi, shape, hits):
    ranks, threads = shape
    name = f"{scheduler}-{mpi}"
    asked = ["--scheduler", scheduler, "--mpi", mpi, "--name", name, "--nodes", "2"]
    asked += ["--ranks-per-node", str(ranks), "--threads", str(threads)]
    rendered = mpiapps("render", "layout.py", *asked, mpi=mpi)
    assert rendered.code == 0, rendered.err
    (PLACE / f"{name}.sh").write_text(rendered.out)
    variables = environment(scheduler, ranks, threads)
    variables["PATH"] = f"{HERE / 'bin'}:/usr/bin:/bin"
    words = [f"{key}={text}" for key, text in variables.items()]
    ended = on("n1", "env", *words, "bash", f"{name}.sh")
    assert ended.code == 0, ended.err
    told = json.loads(next(line for line in ended.out.splitlines() if line[0] == "{"))
    assert told["hits"] == hits
    expected = [[0], [1]] if threads == 1 else [[0, 1]]
    for host in ("n1", "n2"):
        mine = [cores for where, cores, _ in told["rows"] if where == host]
        assert sorted(mine) == expected
    assert {omp for _, _, omp in told["rows"]} == {str(threads)}

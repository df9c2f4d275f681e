"""Ranks of PBS and LSF on several hosts, without the daemons: hosts.variables_of."""

import json

import pytest

from tests.cluster.hosts import SHARED, mpiapps, on, variables_of
from tests.commands import MPIS

# (ranks on each of two hosts, threads per rank)
SHAPES = [(2, 1), (1, 2)]


def report_of(name, scheduler, mpi, request, variables):
    """Run layout.py by the script of a job; return what it prints."""
    words = ["--scheduler", scheduler, "--mpi", mpi, "--name", name, *request]
    rendered = mpiapps("render", "layout.py", *words, mpi=mpi)
    assert rendered.code == 0, rendered.err
    (SHARED / f"{name}.sh").write_text(rendered.out)
    ended = on("n1", "env", *variables, "bash", f"{name}.sh")
    assert ended.code == 0, ended.err
    return json.loads(next(line for line in ended.out.splitlines() if line[0] == "{"))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "{}x{}".format(*shape))
@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("scheduler", ["pbs", "lsf"])
def test_hosts_and_cores_of_ranks(scheduler, mpi, shape):
    ranks, threads = shape
    request = ["--nodes", "2", "--ranks-per-node", str(ranks)]
    request += ["--threads", str(threads)]
    variables = variables_of(scheduler, ranks, threads)
    report = report_of(f"{scheduler}-{mpi}", scheduler, mpi, request, variables)
    assert report["size"] == 2 * ranks
    expected = [[0], [1]] if threads == 1 else [[0, 1]]
    for host in ("n1", "n2"):
        bound = [cores for name, cores, _ in report["rows"] if name == host]
        assert sorted(bound) == expected
    assert {omp for _, _, omp in report["rows"]} == {str(threads)}


@pytest.mark.parametrize("mpi", MPIS)
def test_a_host_whose_lines_are_apart_is_one_host(mpi):
    variables = variables_of("pbs", 2, 1, lines=["n1", "n2", "n1"])
    report = report_of(f"apart-{mpi}", "pbs", mpi, ["--ranks", "3"], variables)
    rows = sorted((host, cores) for host, cores, _ in report["rows"])
    assert [host for host, _ in rows] == ["n1", "n1", "n2"]
    assert [cores for _, cores in rows[:2]] == [[0], [1]]

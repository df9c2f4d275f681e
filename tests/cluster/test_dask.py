"""Dask over several hosts: by job scripts, joined from outside, by dask-jobqueue."""

import json

import pytest

from tests.cluster.hosts import (
    PLACE,
    SCHEDULERS,
    SHAPES,
    cluster,
    mpiapps,
    on,
    other,
    output,
    record,
    shape,
    submit,
    until,
    wait,
)
from tests.launch import folder


def last_line(text):
    return json.loads(next(line for line in text.splitlines()[::-1] if line[:1] == "{"))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_script_has_workers_on_all_hosts(scheduler):
    nodes, ranks = SHAPES[scheduler]
    workers = nodes * ranks - 1
    words = ["--time", "10m", "--", "dask_client.py", str(workers)]
    run = submit(scheduler, "dask", *shape(scheduler), *words)
    assert wait(run)["state"] == "done", output(run)
    found = last_line(output(run))
    assert found["workers"] == workers
    assert len(found["hosts"]) == nodes
    assert (found["sum"], found["tls"]) == (2500, True)
    assert record(run)["values"]["tasks"] == 160
    assert "distributed" not in output(run)


def test_a_host_is_lost_and_the_run_is_gone_on_with():
    marks = PLACE / "dask-lost"
    words = ["--time", "10m", "--", "dask_slow.py", str(marks)]
    run = submit("slurm", "dask", "--nodes", "3", "--ranks-per-node", "2", *words)
    until(lambda: marks.exists() and marks.stat().st_size > 10, "some tasks")
    lost = other(run)
    cluster("cut", lost)
    ended = wait(run, "failed", "pending", limit=120)
    assert ended["state"] != "done"
    cluster("join", lost)
    if ended["state"] == "failed":
        again = mpiapps("resubmit", run)
        assert again.code == 0, again.err
    assert wait(run, limit=200)["state"] == "done", output(run)
    assert "20 done" in output(run)


def test_the_head_node_joins_a_cluster_in_a_job():
    file = PLACE / "private" / "dask.json"
    words = ["--time", "10m", "--", "--connection", str(file)]
    run = submit("slurm", "dask", "--nodes", "2", "--ranks-per-node", "2", *words)
    until(file.exists, "the cluster to be up")
    joined = mpiapps("dask", "connect", str(file), "dask_client.py", "3")
    assert joined.code == 0, joined.err
    assert last_line(joined.out)["workers"] == 3
    (PLACE / "end.py").write_text(
        "from distributed import get_client\nget_client().shutdown()\n"
    )
    mpiapps("dask", "connect", str(file), "end.py")
    assert wait(run)["state"] == "done", output(run)
    assert not file.exists()


def test_the_same_client_code_runs_on_dask_jobqueue():
    python = str(folder("openmpi") / "python")
    ended = on("head", python, "dask_jobs.py", str(PLACE / "jobqueue"))
    assert ended.code == 0, ended.err + output_of(PLACE / "jobqueue")
    found = last_line(ended.out)
    assert (found["workers"], found["sum"], found["tls"]) == (2, 2500, True)


def output_of(place):
    return "".join(path.read_text() for path in place.glob("*.err"))

"""Dask on several hosts: in jobs, with clients outside the job, with dask-jobqueue."""

import json

import pytest

from tests.cluster.hosts import (
    SCHEDULERS,
    SHAPES,
    SHARED,
    cluster,
    mpiapps,
    on,
    other_host,
    output,
    record,
    shape,
    submit,
    until,
    wait,
)
from tests.commands import bin_directory


def last_line(text):
    return json.loads(next(line for line in text.splitlines()[::-1] if line[:1] == "{"))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_script_has_workers_on_all_hosts(scheduler):
    nodes, ranks = SHAPES[scheduler]
    workers = nodes * ranks - 1
    args = ["--time", "10m", "--", "dask_client.py", str(workers)]
    run = submit(scheduler, "dask", *shape(scheduler), *args)
    assert wait(run)["state"] == "done", output(run)
    values = last_line(output(run))
    assert values["workers"] == workers
    assert len(values["hosts"]) == nodes
    assert (values["sum"], values["tls"]) == (2500, True)
    assert record(run)["values"]["tasks"] == 160
    # A worker that ends may leave a connection that it has just begun.
    lines = [x for x in output(run).splitlines() if "UNEXPECTED_EOF" not in x]
    assert not [line for line in lines if "distributed" in line]


def test_a_run_resumes_after_the_loss_of_a_host():
    marks = SHARED / "dask-lost"
    args = ["--time", "10m", "--", "dask_slow.py", str(marks)]
    run = submit("slurm", "dask", "--nodes", "3", "--ranks-per-node", "2", *args)
    until(lambda: marks.exists() and marks.stat().st_size > 10, "some tasks")
    lost = other_host(run)
    cluster("cut", lost)
    done = wait(run, "failed", "pending", limit=120)
    assert done["state"] != "done"
    cluster("join", lost)
    if done["state"] == "failed":
        resubmitted = mpiapps("resubmit", run)
        assert resubmitted.code == 0, resubmitted.err
    assert wait(run, limit=200)["state"] == "done", output(run)
    assert "20 done" in output(run)


def test_the_head_node_connects_to_a_cluster_in_a_job():
    file = SHARED / "private" / "dask.json"
    args = ["--time", "10m", "--", "--scheduler-file", str(file)]
    run = submit("slurm", "dask", "--nodes", "2", "--ranks-per-node", "2", *args)
    until(file.exists, "the start of the cluster")
    connected = mpiapps("dask", "connect", str(file), "dask_client.py", "3")
    assert connected.code == 0, connected.err
    assert last_line(connected.out)["workers"] == 3
    (SHARED / "end.py").write_text(
        "from distributed import get_client\nget_client().shutdown()\n"
    )
    mpiapps("dask", "connect", str(file), "end.py")
    assert wait(run)["state"] == "done", output(run)
    assert not file.exists()


def test_the_same_client_code_runs_on_dask_jobqueue():
    python = str(bin_directory("openmpi") / "python")
    done = on("head", python, "dask_jobs.py", str(SHARED / "jobqueue"))
    assert done.code == 0, done.err + output_of(SHARED / "jobqueue")
    values = last_line(done.out)
    assert (values["workers"], values["sum"], values["tls"]) == (2, 2500, True)


def output_of(place):
    return "".join(path.read_text() for path in place.glob("*.err"))

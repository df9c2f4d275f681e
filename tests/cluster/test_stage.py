"""`submit --stage` on several hosts: unpacked on each, imported from there, removed."""

import json

import pytest

from tests.cluster.hosts import (
    HAS_PMIX,
    LIMIT,
    SCHEDULERS,
    SHARED,
    SRUN,
    mpiapps,
    on,
    output,
    submit,
    until,
    wait,
)
from tests.commands import bin_directory

# Prints where each rank imports from; waits until it is cancelled if there is a file.
SCRIPT = """import json, os, sys, time, beside
row = os.uname().nodename, sys.prefix, beside.__file__, json.__file__
print(json.dumps(row) + "\\n", end="", flush=True)
while os.path.exists("stay"):
    time.sleep(1)
"""
HOSTS = ("n1", "n2")


@pytest.fixture(scope="module")
def environment():
    """Return a small environment, without MPI: launchers start anything."""
    directory = SHARED / "small"
    python = str(bin_directory("openmpi") / "python")
    made = on("head", python, "-m", "venv", "--without-pip", str(directory))
    assert made.code == 0, made.err
    (SHARED / "where.py").write_text(SCRIPT)
    (SHARED / "beside.py").touch()
    site = (SHARED / "sge.toml").read_text()
    (SHARED / "sge-alone.toml").write_text(f'launch = ["env"]\n{site}')
    return directory


def staged(scheduler, environment, name):
    """Submit a job on two hosts; on Grid Engine its program runs on the first."""
    site = {"slurm": "slurm", "sge": "sge-alone"}[scheduler]
    request = ["--stage", "--nodes", "2", "--nodelist", "n[1-2]", "--name", name]
    request += ["--venv", str(environment), "--ranks-per-node", "2"]
    if scheduler == "slurm":
        request += SRUN
    return submit(site, "where.py", *request)


def left(host):
    """Return the directories of staged jobs on a host."""
    command = (
        "ls -d /tmp/mpiapps-stage-* /dev/shm/mpiapps-stage-* /tmp/*/mpiapps-stage-*"
    )
    return set(on(host, "sh", "-c", command).out.split())


def clean(before):
    """Wait until no host has more directories than before the job."""
    for host, old in before.items():
        until(lambda host=host, old=old: left(host) <= old, f"{host} to be clean")


def rows(run):
    return [json.loads(line) for line in output(run).splitlines() if line[:1] == "["]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_ranks_import_from_their_host(scheduler, environment):
    before = {host: left(host) for host in HOSTS}
    run = staged(scheduler, environment, f"staged-{scheduler}")
    assert wait(run)["state"] == "done", output(run)
    found = rows(run)
    assert len(found) == (4 if scheduler == "slurm" else 1)
    assert scheduler == "sge" or {row[0] for row in found} == set(HOSTS)
    for _, prefix, *files in found:
        stage = prefix.removesuffix("/env")
        assert "/mpiapps-stage-" in stage, output(run)
        # Python of the distribution is on each host, and not packed.
        places = f"{stage}/", *["/usr/lib/"] * (not HAS_PMIX)
        assert all(file.startswith(places) for file in files), files
    assert "on each host" in output(run)
    clean(before)


def test_a_cancelled_job_leaves_nothing_on_its_hosts(environment):
    before = {host: left(host) for host in HOSTS}
    stay = SHARED / "stay"
    stay.touch()
    run = staged("slurm", environment, "cancelled")
    until(lambda: len(rows(run)) == 4, "the ranks to start", LIMIT)
    assert all(left(host) > before[host] for host in HOSTS)
    assert mpiapps("cancel", run).code == 0
    clean(before)
    stay.unlink()

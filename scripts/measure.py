"""Functions of the benchmarks: run a program on ranks, return its times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from mpiapps.launch.mpiexec import command_line, find_launcher


def start(ntasks: int, *words: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run Python with `words` on ranks, or alone if `ntasks` is 0.

    Return its wall time in s and its output; exit with its standard error if it fails.
    """
    command, variables = [sys.executable, *words], dict[str, str]()
    if ntasks:
        command, variables = command_line(find_launcher(), ntasks, words)
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return wall, done


def timings(ntasks: int, *words: str) -> dict[str, float]:
    """Return the timers of a program and the wall time of its process, in s."""
    wall, done = start(ntasks, *words, "--json", "-")
    record = json.loads(done.stdout)
    return {"wall": wall} | {k: v["max"] for k, v in record["timings"].items()}

"""What the benchmarks share: a run on ranks, and what its record says of its time."""

from __future__ import annotations

import json
import os
import subprocess
import time

from mpiapps.app.mpiexec import command_line, find_launcher


def start(ntasks: int, *words: str) -> tuple[float, str]:
    """Run Python with `words` on ranks; return its wall time and standard output."""
    command, variables = command_line(find_launcher(), ntasks, words)
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - begin, done.stdout


def timings(ntasks: int, *words: str) -> dict[str, float]:
    """Return a program's own timers and the wall time of its process, in s."""
    wall, out = start(ntasks, *words, "--json", "-")
    record = json.loads(out)
    return {"wall": wall} | {k: v["max"] for k, v in record["timings"].items()}

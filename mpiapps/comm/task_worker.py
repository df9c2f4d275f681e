"""The side of tasks that does them: what the root orders, until there is no more."""

from __future__ import annotations

import pickle
import time

from mpiapps.comm.letters import Letters
from mpiapps.comm.task import Chunk, How, do_chunk, pickled

# The function, if this rank does not have it; a chunk; calls that have ended.
Order = tuple[bytes | None, Chunk, list[int]]
TOGETHER, MANY = 0.001, 8  # s of work and chunks that are reported in one letter


def work(orders: Letters, reports: Letters, root: int) -> None:
    """Do what the root orders until it says that there is no more. Local."""
    hows: dict[int, How] = {}
    done: list[tuple[int, int, int, bytes, float]] = []
    while (letter := orders.wait(root)[1]) is not None:
        told = time.perf_counter()
        for how, chunk, ended in letter:
            for call in ended:
                hows.pop(call, None)
            if how is not None:
                hows[chunk.call] = pickle.loads(how)
            start = time.perf_counter()
            outcomes = do_chunk(hows[chunk.call], chunk)
            now = time.perf_counter()
            report = pickled(chunk, outcomes)
            n = len(outcomes)
            done.append((chunk.call, chunk.first, n, report, now - start))
            if now - told > TOGETHER or len(done) == MANY:
                reports.send(root, done)
                done, told = [], now
        if done:
            reports.send(root, done)
            done = []
    reports.close()

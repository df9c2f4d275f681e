"""`make bench-farm`, Python tasks: payloads, counts, costs, slow consumers, with peers.

All pools have two workers, which live through all cells, except that those of imap have
new ones; mpiapps and mpi4py.futures have a rank more, which has the pool. Calls are as
users write them, so `map` has the chunks of each pool's default. Figures are seconds of
one call, or, for memory, MiB by which the process that has the pool grew. Floors:
payloads twice as fast as mpi4py.futures, all else 0.8. Peers: mpi4py.futures,
multiprocessing.Pool, joblib.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measure import FLOOR, Cell, Figures, limit, parser, sweep
from peers import Peers

WORKER = str(Path(__file__).with_name("tasks_peer.py"))
POOLS = ("mpiapps", "futures", "pool", "joblib")
WORKERS = 2
RANKS = {"mpiapps": WORKERS + 1, "futures": WORKERS + 1}
MAX_MIB = 256  # of a stream at the process that has the pool
SIZES = {"0 B": 0, "1 kB": 10**3, "64 kB": 2**16, "1 MB": 10**6, "8 MB": 8 * 10**6,
         "64 MB": 2**26, "256 MB": 2**28}  # fmt: skip
# Bytes of a payload and of all those of a cell, at most: dicts take ten times as much.
KINDS = {"array": (2**28, 2**29), "string": (2**28, 2**29), "dict": (8 * 10**6, 2**25)}
# What has the object that all tasks of a call share, and the pools that can send it.
HOLDERS = {"items": POOLS, "partial": POOLS, "closure": ("mpiapps", "joblib")}
NONE = {"kind": "array", "size": 0, "direction": "in", "consumer": 0.0}
SLOW = 10_000  # tasks; mpi4py.futures runs some 4,500 per second


def figures(pools: Peers, pool: str, request: dict[str, Any]) -> Figures:
    """Return seconds and growth in MiB of a cell, on new processes for a stream."""

    def run() -> dict[str, float]:
        if request["consumer"]:
            pools.end(pool)
        seconds, growth = pools.ask(pool, request) or (math.nan, math.nan)
        return {"s": seconds, "MiB": max(1.0, growth / 2**20)}

    return Figures(run)


def requests() -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield titles and requests, and whether the cell is one of payloads."""
    for kind, (largest, total) in KINDS.items():
        for name, size in SIZES.items():
            for direction in ("in", "out"):
                if 0 < size <= largest or (kind, direction) == ("array", "in"):
                    count = min(1000, total // max(size, 1))
                    yield f"{count} of {name}, {kind} {direction}", NONE | {
                        "kind": kind, "size": size, "direction": direction,
                        "count": count,
                    }, size > 0  # fmt: skip
    for direction in ("in", "out"):
        request = {"size": 2**30, "direction": direction, "count": 1}
        yield f"1 of 1 GB, array {direction}", NONE | request, True
    for kind in KINDS:
        for holder in HOLDERS:
            request = {"kind": kind, "size": 4 * 10**6, "direction": "shared"}
            request |= {"holder": holder, "count": 100}
            yield f"100 that share 4 MB, {kind} in {holder}", NONE | request, True
    for count in (10, 10**3, 10**5, 10**6):
        yield f"{count} no-ops", NONE | {"count": count}, False
    for cost in (1e-4, 1e-3, 1e-2):
        count = int(min(5000, 2 / cost))
        title = f"{count} lognormal, median {cost * 1e3:g} ms"
        yield title, NONE | {"kind": "lognormal", "cost": cost, "count": count}, False
    for name, consumer in (("fast", 1e-9), ("slow", 5e-3)):
        request = {"count": 300, "size": 10**6, "direction": "out"}
        yield f"imap, 300 of 1 MB, {name} consumer", NONE | request | {
            "consumer": consumer
        }, False  # fmt: skip


def cells(pools: Peers) -> Iterator[Cell]:
    """Yield the cells; those of imap also for memory."""
    for title, request, is_payload in requests():
        imap = bool(request["consumer"])
        able = HOLDERS.get(request.get("holder", ""), POOLS)
        names = [name for name in able if name != "futures"
                 or imap or request["count"] <= SLOW]  # fmt: skip
        of_pool = {name: figures(pools, name, request) for name in names}
        for unit in ("s", "MiB") if imap else ("s",):
            timers = {name: of_pool[name].timer(unit) for name in names}
            others = 0.0 if unit == "MiB" else FLOOR
            floors = {"futures": 2.0} if is_payload else {}
            ours = timers.pop("mpiapps")
            peers = {
                name: (timer, floors.get(name, others))
                for name, timer in timers.items()
            }
            if unit == "MiB":
                peers[f"{MAX_MIB} MiB"] = limit(MAX_MIB), 1.0
            yield Cell(f"{title}, {unit}", ours, peers)


def main() -> int:
    """Measure, print, write JSON; return 1 if a floor is missed."""
    options = parser(__doc__).parse_args()
    pools = Peers(WORKER, RANKS)
    try:
        return sweep(cells(pools), options)
    finally:
        pools.close()


if __name__ == "__main__":
    sys.exit(main())

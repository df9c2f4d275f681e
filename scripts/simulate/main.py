"""Time of our schedules on platforms of many hosts, in SimGrid.

Prints a table and writes it as JSON: ``make simulate``, or ``make simulate
SIMULATE='--only gemm --ranks 1024'`` for a part. docs/scale.md explains it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from cases import CASES
from simgrid import BUILD, replay

from mpiapps.base.platforms import PLATFORMS

# Ranks of the full run: a slow core needs five minutes for the largest one.
RANKS = {
    "gemm": (64, 256, 1024, 4096, 16384),
    "gemm-3d": (64, 256),
    "gram": (64, 256, 1024),
    "eigh": (64, 256),
    "svd": (64, 256),
    "tsqr": (64, 256),
    "redistribute": (64, 256),
    "counter-by-host": (64, 256, 1024, 4096, 16384),
    "manager-chunks": (64, 256, 1024, 4096, 16384),
}
OTHERS = (64, 256, 1024, 4096)
DEFAULT_PLATFORMS = ("fat-tree-100-slow",)
HEADER = (
    f"{'schedule':16}{'platform':20}{'ranks':>7}{'s':>11}{'plan':>7}{'effic.':>8}"
    f"{'MB/rank':>9}  {'busiest link':30}{'busy':>6}{'took':>6}"
)


def simulate(name: str, platform: str, ranks: int, limit: float) -> dict[str, Any]:
    """Return a row of the table."""
    start = time.perf_counter()
    case = CASES[name](PLATFORMS[platform], ranks)
    result = replay(PLATFORMS[platform], case.traces, case.hosts, limit)
    return {
        "schedule": name,
        "platform": platform,
        "ranks": ranks,
        "seconds": result.seconds,
        "planned": case.planned,
        "efficiency": case.useful / result.seconds if case.useful else None,
        "received": case.received,
        "link": result.link,
        "link_bytes": result.link_bytes,
        "link_busy": result.link_busy / result.seconds,
        "took": time.perf_counter() - start,
    }


def as_text(row: dict[str, Any]) -> str:
    """Return a line of the table."""
    planned, efficiency = row["planned"], row["efficiency"]
    plan = f"{planned / row['seconds']:.2f}" if planned else ""
    share = f"{efficiency:.2f}" if efficiency else ""
    return (
        f"{row['schedule']:16}{row['platform']:20}{row['ranks']:>7,}"
        f"{row['seconds']:>11.3g}{plan:>7}{share:>8}{row['received'] / 1e6:>9.3g}"
        f"  {row['link'][:29]:30}{row['link_busy']:>6.2f}{row['took']:>6.0f}"
    )


def main() -> None:
    """Simulate what the options name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--ranks", nargs="+", type=int, help="powers of 2 from 64 on")
    parser.add_argument(
        "--platforms", nargs="+", choices=PLATFORMS, default=DEFAULT_PLATFORMS
    )
    parser.add_argument("--limit", type=float, default=400, help="s of a replay")
    parser.add_argument("--json", type=Path, default=BUILD / "simulate.json")
    options = parser.parse_args()
    print(HEADER)
    rows = []
    for name in options.only:
        for platform in options.platforms:
            for ranks in options.ranks or RANKS.get(name, OTHERS):
                try:
                    row = simulate(name, platform, ranks, options.limit)
                except subprocess.TimeoutExpired:
                    print(f"{name:16}{platform:20}{ranks:>7,} > {options.limit:.0f} s")
                    break
                rows.append(row)
                print(as_text(row), flush=True)
                options.json.parent.mkdir(parents=True, exist_ok=True)
                options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

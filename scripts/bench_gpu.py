"""`make bench-gpu`: kernels and transfers of a GPU, against all cores of its host.

Of each case, the first call, with the compilation, is apart; kernels and copies are
timed by CUDA events, medians over rounds. "whole" is the wall time of a call as a
program makes it, with its copies; "CPU" that of the same work by all cores. The bounds
are measured on the same device: multiply-adds of 32-bit integers, copies from pinned
memory, copies within the device's memory. The crossover is the least size of those
measured from which on the device is faster.

A further list of cases is a function that yields `Case`, in `CASES`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from gpu_limits import Call, by_events, limits, typical, wall

from mpiapps.app.provenance import cpu
from mpiapps.device import darts
from mpiapps.device.choice import choose_device
from mpiapps.device.text import (
    CHUNK_BYTES,
    HEAD_BYTES,
    PART_BYTES,
    Slot,
    TextCounter,
    device_tables,
)
from mpiapps.kernels import pi
from mpiapps.kernels.text import count_text

ROOT = Path(__file__).parents[1]
CORES = len(os.sched_getaffinity(0))
SEED = 7
# Instructions of the loop for an index of the stream, sm_90, ptxas 12.9; darts of it.
INSTRUCTIONS = {False: 94, True: 91}
DARTS = {False: 4, True: 2}
TEXT = b"some words of a text, in lines of about sixty bytes as usual\n"


@dataclass(frozen=True)
class Case:
    """A kernel of one size.

    Attributes
    ----------
    name, unit : str
        Of the kernel, and of `size`.
    size : float
        Units of work of a call.
    kernel : callable
        Starts the kernel alone on the default stream.
    transfer : callable, optional
        Starts the copies alone.
    whole : callable
        The call of a program, which returns when it is done.
    cpu : callable
        The same work by all cores.
    bounds : dict of str to float
        Names of limits, and units per second that they allow.
    stream
        In which `kernel` and `transfer` start.
    """

    name: str
    unit: str
    size: float
    kernel: Call
    transfer: Call | None
    whole: Call
    cpu: Call
    bounds: dict[str, float]
    stream: Any = 0


def on_all_cores(function: Callable[[int, int], object], size: int) -> Call:
    """Return a call of `function` for equal parts of ``range(size)``, in threads."""
    cuts = [size * n // CORES for n in range(CORES + 1)]

    def call() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(function, cuts[:-1], cuts[1:]))

    return call


def dart_cases(rates: dict[str, float], quick: bool) -> Iterator[Case]:
    """Yield cases of `count_darts`, from small sizes to large ones."""
    exponents = (10,) if quick else range(16, 38, 3)
    for wide, n in product((False, True), (2**e for e in exponents)):
        share = DARTS[wide] / INSTRUCTIONS[wide]
        key = SEED, 0
        yield Case(
            f"darts, {32 if wide else 16} bits",
            *("darts", n),
            partial(darts.start_misses, *key, 0, n // DARTS[wide], wide),
            None,
            partial(darts.count_darts, *key, 0, n, wide),
            on_all_cores(partial(_count_on_cpu, wide), n),
            {"instructions": rates["32-bit multiply-adds"] * share},
        )


def _count_on_cpu(wide: bool, first: int, last: int) -> int:
    return pi.count_darts(SEED, 0, first, last, wide)


def text_cases(rates: dict[str, float], quick: bool) -> Iterator[Case]:
    """Yield cases of counting text; whole: in the chunks of `mpiapps files count`."""
    bounds = {
        "copy to the device": rates["bytes to the device"],
        "memory": rates["bytes within it, read and written"],
    }
    sizes = (2**10,) if quick else [2**e for e in range(12, 30, 2)]
    text = np.frombuffer(bytearray(TEXT * (sizes[-1] // len(TEXT) + 1)), np.uint8)
    counter = TextCounter("utf-8", min(CHUNK_BYTES, sizes[-1]))
    slot = Slot(device_tables("utf-8"), sizes[-1], PART_BYTES)

    def whole(size: int) -> None:
        for begin in range(0, size, len(counter.buffer)):
            part = text[begin : min(size, begin + len(counter.buffer))]
            counter.buffer[: len(part)] = part
            counter.submit(len(part))
        counter.finish()

    slot.host[HEAD_BYTES:] = text[: sizes[-1]]
    for size in sizes:
        yield Case(
            "text",
            *("bytes", size),
            partial(slot.count, size, 0),
            partial(slot.send, size),
            partial(whole, size),
            on_all_cores(lambda a, b: count_text(text[a:b], "utf-8"), size),
            bounds,
            slot.stream,
        )


CASES: list[Callable[[dict[str, float], bool], Iterator[Case]]] = [
    dart_cases,
    text_cases,
]


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Return the times of a case in s, and its rate as fractions of the bounds."""

    def events(call: Call) -> float:
        return typical(partial(by_events, stream=case.stream), call, rounds)

    row: dict[str, Any] = {"name": case.name, "unit": case.unit, "size": case.size}
    row["first"] = wall(case.whole)
    row["transfer"] = events(case.transfer) if case.transfer else 0.0
    row["kernel"] = events(case.kernel)
    row["whole"] = typical(wall, case.whole, rounds)
    case.cpu()
    row["cpu"] = typical(wall, case.cpu, rounds)
    rate = case.size / row["kernel"]
    row["of bounds"] = {name: rate / bound for name, bound in case.bounds.items()}
    return row


def crossovers(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return for each name the least size from which on the device is faster."""
    least: dict[str, float | None] = {row["name"]: None for row in rows}
    for row in rows:  # in ascending sizes
        if row["whole"] >= row["cpu"]:
            least[row["name"]] = None
        elif least[row["name"]] is None:
            least[row["name"]] = row["size"]
    return least


def line(row: dict[str, Any]) -> str:
    """Return a line of the table: times in ms, units per second, parts of bounds."""
    times = (row[name] for name in ("first", "transfer", "kernel", "whole", "cpu"))
    columns = [f"{row['name']:<16} {row['size']:>14,}"]
    columns += [f"{1e3 * seconds:>10.4g}" for seconds in times]
    columns += [f"{row['size'] / row['kernel']:>10.3g} {row['unit']}/s"]
    columns += [f"{part:.2f} of {name}" for name, part in row["of bounds"].items()]
    return " ".join(columns)


def main() -> int:
    """Measure, print a table, write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, as a test")
    parser.add_argument("--json", type=Path, default=ROOT / ".bench" / "gpu.json")
    options = parser.parse_args()
    device = choose_device(0, 1)
    device.select()
    rates = limits(options.quick)
    title = f"{device.name}; {CORES} cores of {cpu()}"
    print(title)
    for name, rate in rates.items():
        print(f"{name:<36} {rate:.3g}/s")
    columns = ("first", "transfer", "kernel", "whole", "CPU")
    print(f"{'ms':<16} {'size':>14} " + " ".join(f"{name:>10}" for name in columns))
    rows = []
    for cases in CASES:
        for case in cases(rates, options.quick):
            rows.append(measure(case, 1 if options.quick else options.rounds))
            print(line(rows[-1]), flush=True)
    least = crossovers(rows)
    print("size from which on the device is faster, if there is one:", least)
    record = {"title": title, "limits": rates, "rows": rows, "crossovers": least}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(record, indent=1) + "\n")
    print(f"written to {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

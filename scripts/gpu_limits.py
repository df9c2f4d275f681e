"""Times on a GPU, and what it does per second: the bounds of `bench_gpu.py`."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from mpiapps.device.cuda import (
    THREADS,
    blocks_for,
    cuda,
    device_function,
    is_simulated,
    kernel,
)

CHAIN_STEP = 4 * 16  # multiply-adds of a step: in four chains
STEPS = 256
Call = Callable[[], object]


def wall(call: Call) -> float:
    """Return the seconds that a call takes, with the work that it starts."""
    begin = time.perf_counter()
    call()
    cuda.synchronize()
    return time.perf_counter() - begin


def by_events(call: Call, stream: Any = 0) -> float:
    """Return the seconds between two events around what a call starts in a stream."""
    if is_simulated():
        return wall(call)
    begin, end = cuda.event(), cuda.event()
    begin.record(stream)
    call()
    end.record(stream)
    end.synchronize()
    return float(cuda.event_elapsed_time(begin, end)) / 1e3


def typical(timer: Callable[[Call], float], call: Call, rounds: int) -> float:
    """Return the median time of a call over rounds."""
    return median(timer(call) for _ in range(rounds))


@device_function
def _sixteen(a: Any, b: Any, c: Any, d: Any, factor: Any) -> tuple[Any, ...]:
    for _ in range(16):
        a = np.uint32(np.uint64(a) * factor + factor)
        b = np.uint32(np.uint64(b) * factor + factor)
        c = np.uint32(np.uint64(c) * factor + factor)
        d = np.uint32(np.uint64(d) * factor + factor)
    return a, b, c, d


@kernel
def _multiply_add(steps: int, factor: Any, results: Any) -> None:
    """Compute chains of multiply-adds that do not depend on each other."""
    a = np.uint32(cuda.grid(1))
    b, c, d = np.uint32(a ^ factor), np.uint32(a | factor), np.uint32(a & factor)
    step = 0
    while step < steps:  # each with 16 of each chain, which the compiler unrolls
        step += 1
        a, b, c, d = _sixteen(a, b, c, d, factor)
    results[cuda.grid(1)] = np.uint32(a ^ b ^ c ^ d)


def limits(quick: bool) -> dict[str, float]:
    """Return what the device does per second: integer operations, bytes copied."""
    size, steps = (2**16, 8) if quick else (2**28, STEPS)
    blocks = blocks_for(2**30)
    results = cuda.device_array(blocks * THREADS, np.uint32)

    def multiply_add() -> None:
        factor = np.uint64(0x9E3779B9)
        _multiply_add[blocks, THREADS](steps, factor, results)

    host = cuda.pinned_array(size, np.uint8)
    host[:] = 1
    one, other = (cuda.device_array(size, np.uint8) for _ in range(2))
    calls: dict[str, tuple[float, Call]] = {
        "32-bit multiply-adds": (blocks * THREADS * CHAIN_STEP * steps, multiply_add),
        "bytes to the device": (size, lambda: one.copy_to_device(host)),
        "bytes within it, read and written": (
            2 * size,
            lambda: other.copy_to_device(one),
        ),
    }
    rates = {}
    for name, (amount, call) in calls.items():
        wall(call)
        rates[name] = amount / typical(by_events, call, 5)
    return rates

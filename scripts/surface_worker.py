"""A process of bench_surface.py: times cells of the surface, one after another.

usage: surface_worker.py ours|numpy|heat DIRECTORY

Each rank reads cells, a line of JSON each, from the named pipe DIRECTORY/<rank>: a rank
that waits there takes no processor from the peer. Rank 0 prints the seconds of the
first call and of later ones, or null where the library lacks the operation.
"""

from __future__ import annotations

import json
import mmap
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from surface_libraries import LIBRARIES, Library

MAX_SECONDS, MAX_CALLS = 0.4, 7  # of the later calls of a cell; one is made always
# Of cells below 1 ms: the first calls after a pause find caches that are cold.
SHORT_SECONDS = 0.02
TOUCHED = 4  # times the size of the operands, in memory, before the first call
# Operations that need another first operand, or a second one.
POSITIVE = {"cholesky", "eigh", "eigvalsh"}
DOMINANT = {"lu", "inverse", "condition", "solve", "triangular"}
RIGHT_SIDE = {"solve", "triangular"}
TWO = {"A + B", "A.T B"}


def arguments(lib: Library, cell: dict[str, Any], path: Path) -> tuple[Any, ...]:
    """Return the arguments of the operation of a cell. Collective."""
    name, dtype, layout = cell["operation"], cell["dtype"], cell["layout"]
    m, n, *columns = cell["shape"]
    if name in {"zeros", "random"}:
        return (m, n), dtype, layout
    a = lib.random((m, n), dtype, layout)
    a = lib.positive(a) if name in POSITIVE else a
    a = lib.dominant(a) if name in DOMINANT else a
    if name == "matvec":
        return a, np.random.default_rng(1).random(n).astype(dtype)
    if name == "read":
        lib.operations["write"](path, a)
    files = {"read": (path,), "write": (path, a)}
    second = {"multiply": (n, *columns)}
    second |= dict.fromkeys(RIGHT_SIDE, (m, 1)) | dict.fromkeys(TWO, (m, n))
    if name in second:
        return a, lib.random(second[name], dtype, layout)
    return files.get(name, (a,))


def touch(size: int) -> None:
    """Write to `size` bytes of fresh memory, in huge pages as NumPy's, and free them.

    Local. Else the kernel compacts memory and the host of a virtual machine provides
    it during some first call, up to 2 ms per MiB, whatever the library.
    """
    with mmap.mmap(-1, max(1, size)) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        np.frombuffer(memory, np.uint8)[:: mmap.PAGESIZE] = 1


def seconds(
    lib: Library, operation: Callable[..., Any], operands: tuple[Any, ...]
) -> tuple[float, list[float]]:
    """Return the seconds of the first call, and of later ones. Collective."""

    def timed() -> float:
        lib.barrier()
        start = time.perf_counter()
        result = operation(*operands)
        lib.barrier()
        elapsed = time.perf_counter() - start
        del result
        return elapsed

    size = sum(getattr(operand, "nbytes", 0) for operand in operands)
    touch(TOUCHED * size // lib.size)
    first = lib.bcast(timed())  # decides for all ranks
    calls = max(1, min(MAX_CALLS, int(MAX_SECONDS / first)))
    later = [timed() for _ in range(calls)]
    more = lib.bcast(int(SHORT_SECONDS / min(later)) - calls)
    return first, [*later, *(timed() for _ in range(more))]


def main() -> None:
    """Time cells until the pipe is closed. Collective."""
    name, directory = sys.argv[1:]
    lib = LIBRARIES[name]()
    path = Path(directory, "a.npy")
    with Path(directory, str(lib.rank)).open() as pipe:
        for line in pipe:
            cell = json.loads(line)
            timed = None
            if cell["operation"] in lib.operations:
                operation = lib.operations[cell["operation"]]
                operands = arguments(lib, cell, path)
                timed = seconds(lib, operation, operands)
                del operands
            if lib.rank == 0:
                print(json.dumps(timed), flush=True)


if __name__ == "__main__":
    main()

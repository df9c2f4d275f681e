"""Huge pages for the memory of large messages, where they are fast. Starts no MPI.

To obtain new memory takes longer than to copy a message. Huge pages take a fifth of the
time of small ones; but where the kernel has to compact memory before, or the host of a
virtual machine to provide it, they take five times as long instead.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
MIN_BYTES = 2**22  # of memory for which NumPy requests huge pages
PAGE_BYTES = 2**21
SLOW = 0.8e-9  # s per byte, twice as long as small pages take
TOLERANCE = 2e-3  # s
SMALL_BYTES = 2**28  # of memory that has small pages after huge ones were slow


class NewMemory:
    """The choice of pages for new memory of this process. Local; any thread."""

    def __init__(self) -> None:
        self._small_bytes = 0  # the next ones, which get small pages

    def touch(self, memory: Bytes) -> None:
        """Obtain the pages of memory that is to be filled: overwrite a byte of each.

        Small memory, and that of systems other than Linux, is not changed.
        """
        if memory.nbytes < MIN_BYTES or _MADVISE is None:
            return
        address: int = memory.ctypes.data
        first = address - address % mmap.PAGESIZE  # with the header of `malloc`
        first += -first % PAGE_BYTES
        end = address + memory.nbytes
        end -= end % PAGE_BYTES
        if self._small_bytes > 0:
            self._small_bytes -= end - first
            _advise(first, end, mmap.MADV_NOHUGEPAGE)
            return
        _advise(first, end, mmap.MADV_HUGEPAGE)
        start = time.thread_time()  # excludes that of other processes on this core
        for page in range(first, end, PAGE_BYTES):
            memory[max(0, page - address)] = 0
            done = page + PAGE_BYTES
            if time.thread_time() - start > TOLERANCE + SLOW * (done - first):
                self._small_bytes = SMALL_BYTES
                _advise(done, end, mmap.MADV_NOHUGEPAGE)
                return


NEW_MEMORY = NewMemory()


def _advise(first: int, end: int, advice: int) -> None:
    """Advise the kernel, which may not support it, on a range of addresses."""
    if _MADVISE is not None and first < end:
        _MADVISE(first, end - first, advice)


def _is_usable() -> bool:
    """Return whether huge pages have `PAGE_BYTES`, and the user has not declined them.

    NumPy reads the same variable for its arrays.
    """
    size = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
    declined = os.environ.get("NUMPY_MADVISE_HUGEPAGE", "") == "0"
    try:
        return int(size.read_text()) == PAGE_BYTES and not declined
    except (OSError, ValueError):
        return False


_MADVISE = None
if hasattr(mmap, "MADV_HUGEPAGE") and _is_usable():
    _MADVISE = ctypes.CDLL(None).madvise
    _MADVISE.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int

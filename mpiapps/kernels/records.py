"""Where records of CSV end, and which quotes are special; one process.

Quotes mean what they do to the `csv` module of Python: only one that begins a field is
special, and a doubled one inside of such a field stands for itself. Records end at a
newline outside of quotes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mpiapps.kernels.jit import kernel

QUOTE, NEWLINE, RETURN = 34, 10, 13
# Where a byte stands: first in a record, or in a field; inside a field without quotes,
# inside quotes, or behind a quote that ends them unless one follows.
RECORD, FIELD, PLAIN, QUOTED, CLOSED = 0, 1, 2, 3, 4
STATES = (PLAIN, QUOTED, CLOSED)  # where a cut may be, as `pass_quotes` has it
SOME = 256  # bytes that are looked at together for a quote


class Form(NamedTuple):
    """How records are written.

    Attributes
    ----------
    delimiter : int
        The byte between fields.
    quote : int
        The byte around fields; -1 for none.
    """

    delimiter: int = 44
    quote: int = QUOTE


@kernel
def end_of_record(
    block: np.ndarray, where: int, delimiter: int, quote: int
) -> tuple[int, int]:
    """Return the place behind the record's end, or -1, and where what follows stands.

    Local.
    """
    i, n = 0, len(block)
    while i < n:
        c = block[i]
        i += 1
        if where == QUOTED:
            if c == quote:
                where = CLOSED
        elif c == NEWLINE:
            return i, RECORD
        elif c == delimiter:
            where = FIELD
        elif c == quote and where != PLAIN:  # begins a field, or is doubled
            where = QUOTED
        else:
            where = PLAIN
    return -1, where


@kernel
def _any(block: np.ndarray, byte: int) -> bool:
    found = 0
    for j in range(len(block)):
        found |= block[j] == byte
    return found != 0


@kernel
def pass_quotes(
    block: np.ndarray, before: int, delimiter: int, quote: int, ends: np.ndarray
) -> None:
    """Replace each of several places before a block by the one behind it. Local.

    Parameters
    ----------
    block : ndarray of uint8
    before : int
        The byte before the block.
    delimiter, quote : int
    ends : ndarray of int64
        `PLAIN`, here for whatever is outside of quotes, `QUOTED` or `CLOSED`.
    """
    n, i, last = len(block), 0, -1
    while i < n:
        if not _any(block[i : i + SOME], quote):
            i += SOME
            continue
        for j in range(i, min(n, i + SOME)):
            if block[j] != quote:
                continue
            left = before if j == 0 else int(block[j - 1])
            begins = (left == delimiter) | (left == NEWLINE)
            for k in range(len(ends)):
                if ends[k] == QUOTED:
                    ends[k] = CLOSED
                elif ends[k] == CLOSED and j == last + 1:
                    ends[k] = QUOTED
                else:
                    ends[k] = QUOTED if begins else PLAIN
            last = j
        i += SOME
    for k in range(len(ends)):
        if ends[k] == CLOSED and last + 1 < n:
            ends[k] = PLAIN

"""Record ends and quotes of CSV; one process.

Quotes are interpreted as by Python's `csv` module: only a quote that begins a field is
special, and a doubled quote inside such a field is one quote character. A record ends
at a newline outside of quotes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import uint8, uint64

from mpiapps.kernels.bits import WORD_BYTES, copy_rest, matches, trailing_zeros
from mpiapps.kernels.jit import kernel

QUOTE, NEWLINE, RETURN = 34, 10, 13
# Lexer state of a byte: first of a record, first of a field, inside an unquoted field,
# inside quotes, or after a quote that closes them unless another quote follows.
RECORD, FIELD, PLAIN, QUOTED, CLOSED = 0, 1, 2, 3, 4
STATES = (PLAIN, QUOTED, CLOSED)  # of `advance_quote_states`
OPEN_QUOTE = (
    "the quote at byte {} is not closed; use --quote '' if quotes are ordinary"
    " characters"
)


class Dialect(NamedTuple):
    """Delimiter and quote of a CSV file.

    Attributes
    ----------
    delimiter : int
        Byte that separates fields.
    quote : int
        Byte that quotes fields; -1: no quotes.
    """

    delimiter: int = 44
    quote: int = QUOTE


@kernel
def find_record_end(
    block: np.ndarray, where: int, delimiter: int, quote: int
) -> tuple[int, int]:
    """Return the index after the record's end or -1, and the state of the next byte."""
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
        elif c == quote and where != PLAIN:  # opens a field, or is doubled
            where = QUOTED
        else:
            where = PLAIN
    return -1, where


@kernel
def advance_quote_states(
    block: np.ndarray, previous: int, delimiter: int, quote: int, states: np.ndarray
) -> None:
    """Replace each state before a block by the resulting state after it.

    Parameters
    ----------
    block : ndarray of uint8
    previous : int
        The byte before the block.
    delimiter, quote : int
    states : ndarray of int64
        `PLAIN` (any state outside of quotes), `QUOTED` or `CLOSED`.
    """
    n, last, text, different = len(block), -1, block.ctypes.data, len(states)
    padded = np.zeros(WORD_BYTES, np.uint8)
    for i in range(0, n, WORD_BYTES):
        if i + WORD_BYTES <= n:
            quotes = matches(text, i, uint8(quote))
        else:
            copy_rest(block, i, padded)
            quotes = matches(padded.ctypes.data, 0, uint8(quote))
        while quotes != 0:
            j = i + trailing_zeros(quotes)
            quotes &= quotes - uint64(1)
            before = previous if j == 0 else int(block[j - 1])
            begins = (before == delimiter) | (before == NEWLINE)
            for k in range(different):
                if states[k] == QUOTED:
                    states[k] = CLOSED
                elif states[k] == CLOSED and j == last + 1:
                    states[k] = QUOTED
                else:
                    states[k] = QUOTED if begins else PLAIN
            last = j
        # After a few quotes the states are the same, whatever the first ones were.
        if different > 1 and np.all(states == states[0]):
            different = 1
    states[different:] = states[0]
    for k in range(len(states)):
        if states[k] == CLOSED and last + 1 < n:
            states[k] = PLAIN


KERNELS: list[Callable[..., Any]] = [find_record_end, advance_quote_states]

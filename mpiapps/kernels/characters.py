"""What wc takes characters for: separators, printable ones, and others."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

OTHER, SEPARATOR, PRINTABLE = 0, 1, 2  # kinds of characters
NO_BREAK = (0xA0, 0x2007, 0x202F, 0x2060)  # spaces of wc that are none of the C library
NARROW = 256  # characters of which the kind is known without asking
ASSIGNED = (range(0x80, 0x34000), range(0xE0000, 0xE0200))  # as Unicode has it
PRIVATE = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))  # all printable
LC_CTYPE_MASK = 1


@cache
def kinds_of(wide: bool) -> np.ndarray:
    """Return the kind of each character, uint8, by the C library. Local.

    The 128 first ones are told by rule; the others are asked for when one is met, since
    that takes some 0.3 s. Of a library without the locale C.UTF-8 what Python calls
    printable is taken.
    """
    kinds = np.zeros(0x110000 if wide else NARROW, np.uint8)
    kinds[33:127] = PRINTABLE
    kinds[[9, 10, 11, 12, 13, 32]] = SEPARATOR
    if not wide:
        return kinds
    library = ctypes.CDLL(None)
    library.newlocale.restype = ctypes.c_void_p
    library.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    locale = library.newlocale(LC_CTYPE_MASK, b"C.UTF-8", None)
    for part in ASSIGNED:
        if locale:
            printable = _told(library.iswprint_l, part, locale)
            space = _told(library.iswspace_l, part, locale)
        else:
            printable = np.array([chr(c).isprintable() for c in part])
            space = np.array([chr(c).isspace() for c in part])
        here = kinds[part.start : part.stop]
        here[printable] = PRINTABLE
        here[printable & space] = SEPARATOR
    kinds[list(NO_BREAK)] = SEPARATOR
    for part in PRIVATE:
        kinds[part.start : part.stop] = PRINTABLE
    return kinds


def _told(ask: ctypes._NamedFuncPointer, characters: range, locale: int) -> np.ndarray:
    ask.argtypes = [ctypes.c_uint, ctypes.c_void_p]
    answers = np.fromiter((ask(c, locale) for c in characters), int)
    return answers.astype(bool)

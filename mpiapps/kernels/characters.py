"""Character classes of GNU wc: separators, printable characters, and others."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

OTHER, SEPARATOR, PRINTABLE = 0, 1, 2  # kinds of characters
# Separators of wc that iswspace does not classify as spaces.
NO_BREAK_SPACES = (0xA0, 0x2007, 0x202F, 0x2060)
NARROW = 256  # size of the table without characters beyond ASCII
ASSIGNED = (range(0x80, 0x34000), range(0xE0000, 0xE0200))  # by Unicode
PRIVATE = (range(0xF0000, 0xFFFFE), range(0x100000, 0x10FFFE))  # all printable
LC_CTYPE_MASK = 1


@cache
def kinds_of(wide: bool) -> np.ndarray:
    """Return the class of each character as uint8.

    ASCII characters are classified by rule. Others (`wide`) are classified by the C
    library, which takes about 0.3 s, so do it only if one occurs; by Python if the
    library does not have the locale C.UTF-8.
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
            printable = _classify(library.iswprint_l, part, locale)
            space = _classify(library.iswspace_l, part, locale)
        else:
            printable = np.array([chr(c).isprintable() for c in part])
            space = np.array([chr(c).isspace() for c in part])
        kinds_of_part = kinds[part.start : part.stop]
        kinds_of_part[printable] = PRINTABLE
        kinds_of_part[printable & space] = SEPARATOR
    kinds[list(NO_BREAK_SPACES)] = SEPARATOR
    for part in PRIVATE:
        kinds[part.start : part.stop] = PRINTABLE
    return kinds


def _classify(
    is_class: ctypes._NamedFuncPointer, characters: range, locale: int
) -> np.ndarray:
    is_class.argtypes = [ctypes.c_uint, ctypes.c_void_p]
    return np.fromiter((is_class(c, locale) for c in characters), int).astype(bool)

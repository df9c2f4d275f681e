"""Character classes of GNU wc: separators, printable characters, and others."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import int32, types, uint32, uintp

from mpiapps.kernels.jit import kernel

OTHER, SEPARATOR, PRINTABLE, FAILED = 0, 1, 2, 3  # kinds; surrogates are `FAILED`
# Separators of wc that iswspace does not classify as spaces.
NO_BREAK_SPACES = (0xA0, 0x2007, 0x202F, 0x2060)
CHARACTERS = 0x110000  # of Unicode
LC_CTYPE_MASK = 1
# Functions of the C library, called by compiled code: ctypes takes 100 times as long.
_iswprint_l: Any = types.ExternalFunction("iswprint_l", int32(uint32, uintp))
_iswspace_l: Any = types.ExternalFunction("iswspace_l", int32(uint32, uintp))


def byte_kinds() -> np.ndarray:
    """Return the kind of each byte in the locale C, uint8, (256,)."""
    kinds = np.zeros(256, np.uint8)
    kinds[33:127] = PRINTABLE
    kinds[[9, 10, 11, 12, 13, 32]] = SEPARATOR
    return kinds


@cache
def character_kinds() -> np.ndarray:
    """Return the kind of each character in the locale C.UTF-8, uint8, (0x110000,).

    The C library classifies characters beyond ASCII, because wc asks it; Python does if
    the library does not have the locale.
    """
    kinds = np.zeros(CHARACTERS, np.uint8)
    library = ctypes.CDLL(None)
    library.newlocale.restype = ctypes.c_void_p
    library.newlocale.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    locale = library.newlocale(LC_CTYPE_MASK, b"C.UTF-8", None)
    if locale:
        _classify(locale, kinds)
    else:
        text = [chr(c) for c in range(CHARACTERS)]
        kinds[[c.isprintable() for c in text]] = PRINTABLE
        kinds[[c.isprintable() and c.isspace() for c in text]] = SEPARATOR
    kinds[list(NO_BREAK_SPACES)] = SEPARATOR
    kinds[0xD800:0xE000] = FAILED
    kinds[:128] = byte_kinds()[:128]
    return kinds


@kernel
def _classify(locale: int, kinds: np.ndarray) -> None:
    for c in range(len(kinds)):
        if _iswprint_l(c, locale):
            kinds[c] = SEPARATOR if _iswspace_l(c, locale) else PRINTABLE


KERNELS: list[Callable[..., Any]] = [_classify]

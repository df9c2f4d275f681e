"""The memory of large strings, which messages then do not copy. Starts no MPI.

Pickle copies str and bytes, as it does not copy arrays. Messages are sent from the
memory of a string, and received into that of a new one, by functions of CPython's C
API. Strings that are not ASCII, and those of other Pythons, are pickled.
"""

from __future__ import annotations

import ctypes
import sys
from operator import is_not
from pickle import PickleBuffer
from typing import Any

import numpy as np

CPYTHON = sys.implementation.name == "cpython"
LARGE_BYTES = 2**16  # strings of at least this size are not copied
MAX_NESTING = 3  # of tuples: arguments in the item of a submitted task
MAX_LENGTH = 1000  # of lists and tuples; longer ones rarely have large strings
REPLACED = frozenset({str, bytes, tuple})
MAX_ASCII = 127
WRITE = 0x200  # PyBUF_WRITE: of a read-only buffer, pickle would need its protocol
OUT_OF_BAND = 5  # the least protocol that has buffers


class StringMemory(np.ndarray[Any, np.dtype[np.uint8]]):
    """The bytes of a str or bytes object, which pickle sends out of band. Local.

    Attributes
    ----------
    value : str or bytes
        The object whose memory this is.
    """

    value: str | bytes

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        """Pickle as a buffer, which is a string again when it is unpickled."""
        view: Any = self  # NumPy's types of arrays have no buffer protocol
        buffer = PickleBuffer(view) if protocol >= OUT_OF_BAND else self.tobytes()
        return string_of, (type(self.value), buffer)


def string_of(kind: type[str | bytes], buffer: Any) -> str | bytes:
    """Return a string, given it or its memory, or else a copy of a buffer. Local."""
    if isinstance(buffer, StringMemory):
        return buffer.value
    if isinstance(buffer, kind):
        return buffer
    return str(buffer, "ascii") if kind is str else bytes(buffer)


def without_large_strings(
    value: Any, nesting: int = 0, memories: dict[int, StringMemory] | None = None
) -> Any:
    """Return a value in which the memory of large strings replaces them. Local.

    Only of strings that are the value, or in it if it is a list or tuple, or in tuples
    within it. Pickling restores the strings. A string that occurs several times has
    one memory, which is pickled once; `memories` are those by the string's identity.
    """
    kind = type(value)
    memories = {} if memories is None else memories
    if kind is str or kind is bytes:
        is_large = CPYTHON and len(value) >= LARGE_BYTES
        if not is_large or not is_bytes(value):
            return value
        if id(value) not in memories:
            memories[id(value)] = memory_of(value)
        return memories[id(value)]
    if (kind is tuple and nesting < MAX_NESTING) or (kind is list and not nesting):
        is_short = len(value) <= MAX_LENGTH
        if is_short and not REPLACED.isdisjoint(map(type, value)):
            parts = [
                without_large_strings(part, nesting + 1, memories) for part in value
            ]
            if any(map(is_not, parts, value)):
                return kind(parts)
    return value


def has_large_strings(values: list[Any]) -> bool:
    """Return whether there are large strings in a list. Local."""
    return any(
        isinstance(value, str | bytes) and len(value) >= LARGE_BYTES for value in values
    )


def is_bytes(value: str | bytes) -> bool:
    """Return whether each character is a byte. Local."""
    return isinstance(value, bytes) or value.isascii()


def string_kind(buffer: Any) -> type[str | bytes] | None:
    """Return the type of the string whose memory a buffer is, if it is one. Local."""
    return type(buffer.value) if isinstance(buffer, StringMemory) else None


def memory_of(value: str | bytes) -> StringMemory:
    """Return the memory of bytes, or of a string that is ASCII. Local; CPython only."""
    address = _TEXT(value, None) if isinstance(value, str) else _CONTENT(value)
    memory = np.frombuffer(_VIEW(address, len(value), WRITE), np.uint8)
    strings = memory.view(StringMemory)
    strings.value = value
    return strings


def new_string(kind: type[str | bytes], size: int) -> StringMemory:
    """Return the memory of a new string, to be filled. Local; CPython only."""
    return memory_of(_NEW_TEXT(size, MAX_ASCII) if kind is str else _NEW(None, size))


if CPYTHON:
    _API, _POINTER, _SIZE = ctypes.pythonapi, ctypes.c_void_p, ctypes.c_ssize_t
    _OBJECT, _INT = ctypes.py_object, ctypes.c_int

    def _function(name: str, *types: Any) -> Any:
        """Return a function of CPython; `types`: of its result and its arguments."""
        return ctypes.PYFUNCTYPE(*types)((name, _API))

    _TEXT = _function("PyUnicode_AsUTF8AndSize", _POINTER, _OBJECT, _POINTER)
    _CONTENT = _function("PyBytes_AsString", _POINTER, _OBJECT)
    _VIEW = _function("PyMemoryView_FromMemory", _OBJECT, _POINTER, _SIZE, _INT)
    _NEW_TEXT = _function("PyUnicode_New", _OBJECT, _SIZE, ctypes.c_uint32)
    _NEW = _function("PyBytes_FromStringAndSize", _OBJECT, _POINTER, _SIZE)

"""Keys of several fields, joined to one: each field after its length; one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mpiapps.kernels.bits import read_byte
from mpiapps.kernels.columns import unquote
from mpiapps.kernels.jit import kernel
from mpiapps.kernels.records import RETURN, Dialect

LENGTH_BYTES = 4


def join_keys(
    data: np.ndarray, spans: np.ndarray, dialect: Dialect | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return bytes and spans of keys.

    Parameters
    ----------
    data : ndarray of uint8
    spans : ndarray of int32, (fields, n, 2)
        First byte of each field in `data`, and the byte after it.
    dialect : Dialect, optional
        If they are fields of CSV, with quotes.
    """
    room = (spans[:, :, 1] - spans[:, :, 0]).sum() + LENGTH_BYTES * spans[:, :, 0].size
    joined, ends = np.empty(room, np.uint8), np.zeros(spans.shape[1] + 1, np.int64)
    quote = dialect.quote if dialect else -1
    keys = (data, spans, quote, dialect is not None)
    done = _join(keys, (joined, ends), 0)
    while done < spans.shape[1] and dialect:
        fields = [data[begin:end].tobytes() for begin, end in spans[:, done].tolist()]
        parts = [unquote(field.removesuffix(b"\r"), dialect) for field in fields]
        key = b"".join(
            len(part).to_bytes(LENGTH_BYTES, "little") + part for part in parts
        )
        begin = ends[done]
        ends[done + 1] = begin + len(key)
        joined[begin : begin + len(key)] = np.frombuffer(key, np.uint8)
        done = _join(keys, (joined, ends), done + 1)
    return joined, np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int32)


def split_key(key: bytes) -> tuple[bytes, ...]:
    """Return the fields of a joined key."""
    fields, at = [], 0
    while at < len(key):
        begin = at + LENGTH_BYTES
        at = begin + int.from_bytes(key[at:begin], "little")
        fields.append(key[begin:at])
    return tuple(fields)


@kernel
def _join(
    keys: tuple[np.ndarray, np.ndarray, int, bool],
    joined: tuple[np.ndarray, np.ndarray],
    start: int,
) -> int:
    """Join keys from `start` on; return the first one that is not joined.

    That is one with a field that has quotes within, or does not end with one.
    """
    data, spans, quote, strip = keys
    text, ends = joined
    source, size = data.ctypes.data, len(ends) - 1
    for n in range(start, size):
        at = ends[n]
        for k in range(spans.shape[0]):
            begin, end = np.int64(spans[k, n, 0]), np.int64(spans[k, n, 1])
            if strip and end > begin and read_byte(source, end - 1) == RETURN:
                end -= 1
            if end > begin and read_byte(source, begin) == quote:
                if end < begin + 2 or read_byte(source, end - 1) != quote:
                    return n
                begin, end = begin + 1, end - 1
                for i in range(begin, end):
                    if read_byte(source, i) == quote:
                        return n
            for i in range(LENGTH_BYTES):
                text[at + i] = ((end - begin) >> (8 * i)) & 0xFF
            at += LENGTH_BYTES
            for i in range(begin, end):
                text[at + i - begin] = data[i]
            at += end - begin
        ends[n + 1] = at
    return size


KERNELS: list[Callable[..., Any]] = [_join]

"""Zstandard files that tell of a lost end, as those of gzip, lzma and bz2 do."""

from __future__ import annotations

import io
from typing import Any

import zstandard

READ = 2**16  # bytes read at once


class ZstdFile(io.RawIOBase):
    """The content of a file of one or more frames. Local.

    The file object of zstandard returns what there is when the input ends inside a
    frame, and says nothing.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._file = io.FileIO(name)
        self._frame = _frame()
        self._rest = memoryview(b"")

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; return how many bytes, 0 at the end.

        Raises
        ------
        EOFError
            If the file ends inside a frame.
        """
        while not self._rest:
            data = self._frame.unused_data or self._file.read(READ)
            if not data:
                if not self._frame.eof:
                    raise EOFError("the compressed file ended before its content did")
                return 0
            if self._frame.eof:
                self._frame = _frame()
            self._rest = memoryview(self._frame.decompress(data))
        n = min(len(buffer), len(self._rest))
        buffer[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _frame() -> Any:
    """Return what reads a frame, also one of ``zstd --long=31``."""
    longest = 2**zstandard.WINDOWLOG_MAX
    return zstandard.ZstdDecompressor(max_window_size=longest).decompressobj()

"""Zstandard files that report truncation, as those of gzip, lzma and bz2 do."""

from __future__ import annotations

import io
from typing import Any

import zstandard

READ_BYTES = 2**16


class ZstdFile(io.RawIOBase):
    """The content of a file of one or more frames.

    The file object of zstandard does not raise an error if the input ends inside a
    frame.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._file = io.FileIO(name)
        self._decompressor = _new_decompressor()
        self._pending = memoryview(b"")

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; return the number of bytes, 0 at the end.

        Raises
        ------
        EOFError
            If the file ends inside a frame.
        """
        while not self._pending:
            data = self._decompressor.unused_data or self._file.read(READ_BYTES)
            if not data:
                if not self._decompressor.eof:
                    raise EOFError("the compressed file ended before its content did")
                return 0
            if self._decompressor.eof:
                self._decompressor = _new_decompressor()
            self._pending = memoryview(self._decompressor.decompress(data))
        n = min(len(buffer), len(self._pending))
        buffer[:n] = self._pending[:n]
        self._pending = self._pending[n:]
        return n

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _new_decompressor() -> Any:
    """Return a decompressor of one frame, also of ``zstd --long=31``."""
    max_window = 2**zstandard.WINDOWLOG_MAX
    return zstandard.ZstdDecompressor(max_window_size=max_window).decompressobj()

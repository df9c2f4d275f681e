"""Compressed files, those of gzip and Zstandard read in pieces that cost few calls.

The file object of zstandard does not raise an error if the input ends inside a frame.
That of gzip reads 8 KiB at a time, which takes a third longer than zlib. isal, if it is
installed, takes less than half the time of zlib.
"""

from __future__ import annotations

import importlib
import io
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

READ_BYTES = 2**15  # larger reads make zstandard join many parts of 128 KiB
GZIP_WBITS = 31  # of zlib: any window, with the header and the checksum of gzip
FAST_ZLIB = "isal.isal_zlib"  # has the interface of zlib
# File name suffix -> module and function that open the compressed file.
OPENERS = {
    ".gz": (__name__, "GzipFile"),
    ".xz": ("lzma", "open"),
    ".lzma": ("lzma", "open"),
    ".bz2": ("bz2", "open"),
    ".zst": (__name__, "ZstdFile"),
}
# A compressed archive is read as the uncompressed archive, as with .tar.gz.
ARCHIVES = {".tgz": ".gz", ".txz": ".xz", ".tbz2": ".bz2", ".tzst": ".zst"}
OPENERS |= {archive: OPENERS[suffix] for archive, suffix in ARCHIVES.items()}
MAX_SUFFIX_LENGTH = max(map(len, OPENERS))


def compression_suffix(name: str) -> str:
    """Return the suffix of a compressed file's name, in lower case; else ""."""
    end = name[-MAX_SUFFIX_LENGTH:].lower()
    return end[end.rindex(".") :] if end.endswith(tuple(OPENERS)) else ""


def decompressed(name: str, buffer: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the content of a compressed file, in parts of one reused buffer.

    Raises
    ------
    OSError, EOFError, lzma.LZMAError, zstandard.ZstdError
        If the file cannot be read, is damaged, or is cut.
    """
    module, function = OPENERS[compression_suffix(name)]
    with getattr(importlib.import_module(module), function)(name) as stream:
        while n := stream.readinto(buffer):
            yield buffer[:n]


class _DecompressedFile(io.RawIOBase):
    """The content of a file of one or more members (frames)."""

    padding = b""  # byte that may follow a member, repeated
    may_be_empty = False
    damage: tuple[type[Exception], ...] = ()  # exceptions of the decompressor

    def __init__(self, name: str) -> None:
        super().__init__()
        self._decompressor = self.new_decompressor()
        self._file = io.FileIO(name)
        self._pending = memoryview(b"")

    @abstractmethod
    def new_decompressor(self) -> Any:
        """Return a decompressor of one member."""

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; return the number of bytes, 0 at the end.

        Raises
        ------
        EOFError
            If the file ends inside a member.
        OSError
            If a gzip file is damaged, or not one.
        """
        while not self._pending:
            ended = self._decompressor.eof
            data = self._decompressor.unused_data or self._file.read(READ_BYTES)
            while ended and data and not (data := data.lstrip(self.padding)):
                data = self._file.read(READ_BYTES)
            if not data:
                empty = self.may_be_empty and self._file.tell() == 0
                if not (ended or empty):
                    raise EOFError("the compressed file ended before its content did")
                return 0
            if ended:
                self._decompressor = self.new_decompressor()
            try:
                self._pending = memoryview(self._decompressor.decompress(data))
            except self.damage as error:
                raise OSError(f"damaged, or not a gzip file: {error}") from error
        n = min(len(buffer), len(self._pending))
        buffer[:n] = self._pending[:n]
        self._pending = self._pending[n:]
        return n

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


class GzipFile(_DecompressedFile):
    """The content of a gzip file."""

    padding = b"\0"
    may_be_empty = True

    def __init__(self, name: str) -> None:
        self._library: Any = zlib
        with suppress(ImportError):
            self._library = importlib.import_module(FAST_ZLIB)
        self.damage = (self._library.error,)
        super().__init__(name)

    def new_decompressor(self) -> Any:
        """Return a decompressor of one member."""
        return self._library.decompressobj(GZIP_WBITS)


class ZstdFile(_DecompressedFile):
    """The content of a Zstandard file."""

    def new_decompressor(self) -> Any:
        """Return a decompressor of one frame, also of ``zstd --long=31``."""
        zstandard = importlib.import_module("zstandard")
        max_window = 2**zstandard.WINDOWLOG_MAX
        return zstandard.ZstdDecompressor(max_window_size=max_window).decompressobj()

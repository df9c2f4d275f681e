"""Compressed files, read in pieces that cost few calls; no byte of them is ignored.

The file object of zstandard does not raise an error if the input ends inside a frame.
Those of lzma and bz2 ignore all that follows the first stream if it is damaged. That of
gzip reads 8 KiB at a time, which takes a third longer than zlib. isal, if it is
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

MAX_OUTPUT_BYTES = 2**18  # of one call; input of lzma may have the 7000-fold content
READ_BYTES = 2**15  # larger reads make zstandard join many parts of 128 KiB
MAX_SHOWN_BYTES = 12  # in an error
GZIP_WBITS = 31  # of zlib: any window, with the header and the checksum of gzip
FAST_ZLIB = "isal.isal_zlib"  # has the interface of zlib
# File name suffix -> module and function that open the compressed file.
OPENERS = {
    ".gz": (__name__, "GzipFile"),
    ".xz": (__name__, "XzFile"),
    ".lzma": (__name__, "LzmaFile"),
    ".bz2": (__name__, "Bz2File"),
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
    OSError, EOFError, zstandard.ZstdError
        If the file cannot be read, is damaged, or is cut.
    """
    module, function = OPENERS[compression_suffix(name)]
    with getattr(importlib.import_module(module), function)(name) as stream:
        while n := stream.readinto(buffer):
            yield buffer[:n]


class _DecompressedFile(io.RawIOBase):
    """The content of a file of one or more members (frames, streams)."""

    format = "a compressed file"
    magic = b""  # first bytes of a member
    padding = b""  # byte that may follow a member, repeated
    damage: tuple[type[Exception], ...] = ()  # exceptions of the decompressor

    def __init__(self, name: str) -> None:
        super().__init__()
        self._decompressor: Any = None
        self._file = io.FileIO(name)
        self._pending = memoryview(b"")

    @abstractmethod
    def new_decompressor(self) -> Any:
        """Return a decompressor of one member."""

    def decompress(self, data: bytes) -> bytes:
        """Return content of the member, that of `data` or a part of it."""
        return bytes(self._decompressor.decompress(data))

    def has_more(self) -> bool:
        """Return whether the decompressor has content of the data that it was given."""
        return False

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; return the number of bytes, 0 at the end.

        Raises
        ------
        EOFError
            If the file ends inside a member.
        OSError
            If it is damaged, or not of the format; zstandard has its own errors.
        """
        while not self._pending:
            data = b""
            if not self.has_more() and not (data := self._read()):
                return 0
            try:
                self._pending = memoryview(self.decompress(data))
            except self.damage as error:
                raise OSError(f"damaged, or not {self.format}: {error}") from error
        n = min(len(buffer), len(self._pending))
        buffer[:n] = self._pending[:n]
        self._pending = self._pending[n:]
        return n

    def _read(self) -> bytes:
        """Return the next bytes of a member; none at the end of the last one."""
        if self._decompressor is None or self._decompressor.eof:
            return self._begin_member()
        if not (data := self._file.read(READ_BYTES)):
            raise EOFError("the compressed file ended before its content did")
        return data

    def _begin_member(self) -> bytes:
        """Return the first bytes of the next member; none if there is none."""
        is_first = self._decompressor is None
        data = b"" if is_first else self._decompressor.unused_data
        padding = b"" if is_first else self.padding
        while len(data := data.lstrip(padding)) < max(1, len(self.magic)):
            if not (more := self._file.read(READ_BYTES)):
                break
            data += more
        if not data and not is_first:
            return b""
        if not self.magic.startswith(data[: len(self.magic)]):
            raise OSError(self._wrong_start(is_first, data[:MAX_SHOWN_BYTES]))
        self._decompressor = self.new_decompressor()
        return data or self._read()

    def _wrong_start(self, is_first: bool, data: bytes) -> str:
        if is_first:
            return (
                f"damaged, or not {self.format}: it begins with {data!r}, not"
                f" {self.magic!r}; rename it if it is not compressed"
            )
        return (
            f"data after the end of the compressed content: {data!r}, which"
            f" {self.format} cannot contain; cut it off, or compress the file again"
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


class GzipFile(_DecompressedFile):
    """The content of a gzip file."""

    format, magic = "a gzip file", b"\x1f\x8b"
    padding = b"\0"

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


class Bz2File(_DecompressedFile):
    """The content of a bzip2 file; little of it is in memory at a time."""

    format, magic = "a bzip2 file", b"BZh"
    padding = b"\0"
    damage: tuple[type[Exception], ...] = (OSError, ValueError)

    def new_decompressor(self) -> Any:
        """Return a decompressor of one stream."""
        return importlib.import_module("bz2").BZ2Decompressor()

    def decompress(self, data: bytes) -> bytes:
        """Return content of the stream, up to `MAX_OUTPUT_BYTES`."""
        return bytes(self._decompressor.decompress(data, MAX_OUTPUT_BYTES))

    def has_more(self) -> bool:
        """Return whether the decompressor has content of the data that it was given."""
        decompressor = self._decompressor
        return decompressor is not None and not (
            decompressor.eof or decompressor.needs_input
        )


class XzFile(Bz2File):
    """The content of an xz file; little of it is in memory at a time."""

    format, magic = "an xz file", b"\xfd7zXZ\0"

    def __init__(self, name: str) -> None:
        self._lzma: Any = importlib.import_module("lzma")
        self.damage = (self._lzma.LZMAError,)
        super().__init__(name)

    def new_decompressor(self) -> Any:
        """Return a decompressor of one stream."""
        return self._lzma.LZMADecompressor()


class LzmaFile(XzFile):
    """The content of an lzma or xz file, which has no fixed first bytes."""

    format, magic = "an lzma file", b""

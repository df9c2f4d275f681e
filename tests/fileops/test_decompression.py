"""Gzip files are read as by the module gzip, with any members and padding."""

import bz2
import gzip
import lzma
import random

import numpy as np
import pytest

from mpiapps.fileops import decompression
from mpiapps.fileops.decompression import (
    OPENERS,
    READ_BYTES,
    GzipFile,
    decompressed,
)

RANDOM = random.Random(1).randbytes(READ_BYTES)  # its compressed form is as long
PADDING = bytes(READ_BYTES)
WHOLE = {
    "empty member": gzip.compress(b""),
    "one member": gzip.compress(RANDOM * 3),
    "members": gzip.compress(RANDOM) + gzip.compress(b"b" * 10**6) + gzip.compress(b""),
    "padding at the end": gzip.compress(b"a") + PADDING * 2,
    "padding between": gzip.compress(RANDOM) + PADDING + b"\0" + gzip.compress(b"b"),
}
ENDED = "the compressed file ended before its content did"
DAMAGED = {
    "empty file": (b"", ENDED),
    "cut": (gzip.compress(RANDOM)[:-1], ENDED),
    "cut member": (gzip.compress(b"a") + gzip.compress(b"b")[:9], ENDED),
    "cut first bytes": (gzip.compress(b"a") + b"\x1f", ENDED),
    "wrong checksum": (
        gzip.compress(RANDOM)[:-8] + bytes(8),
        "damaged, or not a gzip file",
    ),
    "text": (b"plain text", "not a gzip file: it begins with b'plain text'"),
    "short text": (b"text", "not a gzip file: it begins with b'text'"),
    "text after a member": (
        gzip.compress(b"a") + b"text",
        "data after the end of the compressed content: b'text'",
    ),
    "text after padding": (
        gzip.compress(b"a") + PADDING + b"text",
        "data after the end of the compressed content: b'text'",
    ),
    "only zeros": (PADDING, "not a gzip file: it begins"),
}


@pytest.fixture(autouse=True, params=["isal", "zlib"])
def library(request, monkeypatch):
    """Decompress with isal, and with zlib, as if isal were not installed."""
    if request.param == "zlib":
        monkeypatch.setattr(decompression, "FAST_ZLIB", "a_missing_module")
    with GzipFile("/dev/null") as stream:
        assert type(stream.new_decompressor()).__module__.startswith(request.param)


def read(path):
    content, buffer = b"", np.empty(1000, np.uint8)
    with GzipFile(str(path)) as stream:
        while n := stream.readinto(buffer):
            content += buffer[:n].tobytes()
        assert stream.readinto(buffer) == 0
    return content


@pytest.mark.parametrize("data", WHOLE.values(), ids=list(WHOLE))
def test_whole_files(tmp_path, data):
    (tmp_path / "x.gz").write_bytes(data)
    assert read(tmp_path / "x.gz") == gzip.decompress(data)


@pytest.mark.parametrize(("data", "message"), DAMAGED.values(), ids=list(DAMAGED))
def test_damaged_files(tmp_path, data, message):
    (tmp_path / "x.gz").write_bytes(data)
    with pytest.raises((OSError, EOFError), match=message):
        read(tmp_path / "x.gz")


@pytest.mark.parametrize("suffix", OPENERS)
def test_a_file_without_a_byte_is_cut_and_an_empty_member_is_not(tmp_path, suffix):
    import zstandard

    path, buffer = tmp_path / f"x{suffix}", np.empty(9, np.uint8)
    path.touch()
    with pytest.raises(EOFError, match=ENDED):
        list(decompressed(str(path), buffer))
    compress = {
        "GzipFile": gzip.compress,
        "Bz2File": bz2.compress,
        "ZstdFile": zstandard.compress,
    }.get(OPENERS[suffix][1], lzma.compress)
    path.write_bytes(compress(b""))
    assert list(decompressed(str(path), buffer)) == []

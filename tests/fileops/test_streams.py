"""Files of xz, lzma and bzip2 are read to their last byte, or fail."""

import bz2
import lzma
import random
import subprocess

import numpy as np
import pytest

from mpiapps.fileops.decompression import MAX_OUTPUT_BYTES, READ_BYTES, decompressed
from tests.fileops.runs import run_files

RANDOM = random.Random(1).randbytes(READ_BYTES)  # its compressed form is as long
PACK = {
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}
SUFFIXES = pytest.mark.parametrize("suffix", list(PACK))
ENDED = "the compressed file ended before its content did"


def read(path, data):
    path.write_bytes(data)
    buffer = np.empty(2 * MAX_OUTPUT_BYTES, np.uint8)
    parts = [part.tobytes() for part in decompressed(str(path), buffer)]
    assert max(map(len, parts), default=0) <= MAX_OUTPUT_BYTES
    return b"".join(parts)


@SUFFIXES
def test_all_streams_are_read(tmp_path, suffix):
    pieces = [RANDOM * 3, b"b" * 10**7, b"", b"c"]
    streams = list(map(PACK[suffix], pieces))
    path = tmp_path / f"x{suffix}"
    assert read(path, streams[2]) == b""
    assert read(path, b"".join(streams)) == b"".join(pieces)
    for padding in (bytes(4), bytes(2 * READ_BYTES)):
        assert read(path, padding.join([*streams, b""])) == b"".join(pieces)


def test_padding_between_streams_is_that_of_xz(tmp_path):
    path, data = tmp_path / "x.xz", lzma.compress(b"a") + bytes(8)
    assert read(path, data * 2) == b"aa"
    assert subprocess.check_output(["xz", "-dc", path]) == b"aa"


@SUFFIXES
@pytest.mark.parametrize("position", [0, 20])
def test_a_damaged_second_stream_fails(tmp_path, suffix, position):
    first, second = PACK[suffix](b"a" * 10), bytearray(PACK[suffix](RANDOM))
    second[position : position + 30] = b"?" * 30
    with pytest.raises((OSError, EOFError), match=r"damaged|data after the end|ended"):
        read(tmp_path / f"x{suffix}", first + second)


@SUFFIXES
def test_a_cut_file_fails(tmp_path, suffix):
    packed = PACK[suffix](RANDOM)
    for data in (b"", packed[:-1], packed + packed[:2], packed + packed[:-9]):
        with pytest.raises(EOFError, match=ENDED):
            read(tmp_path / f"x{suffix}", data)


@pytest.mark.parametrize("suffix", [".xz", ".bz2"])
def test_what_is_no_stream_is_named(tmp_path, suffix):
    packed, path = PACK[suffix](b"a"), tmp_path / f"x{suffix}"
    for data in (b"text", bytes(READ_BYTES)):
        with pytest.raises(OSError, match=r"not an? (xz|bzip2) file: it begins with"):
            read(path, data)
    for data in (packed + b"t", packed + bytes(READ_BYTES) + b"text"):
        with pytest.raises(OSError, match="data after the end of the compressed cont"):
            read(path, data)


@pytest.mark.mpi
@pytest.mark.one_mpi
@pytest.mark.usefixtures("small_segments")
@SUFFIXES
def test_a_file_with_a_damaged_stream_fails(world, place, on_root, suffix):
    packed = PACK[suffix](b"x\n" * 1000)
    on_root((place / f"bad{suffix}").write_bytes, packed + packed[:-20] + bytes(20))
    on_root((place / f"good{suffix}").write_bytes, packed + packed)
    result = run_files(world, "count", place)
    assert result.exit_code == 3
    if world.is_root:
        assert (result.values["failed"], result.values["lines"]) == (1, 2000)

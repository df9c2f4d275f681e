"""Large strings in messages: restored as they were, without copies by pickle."""

import pickle
from typing import NamedTuple

import pytest

from mpiapps.comm.pickling import pack, unpack
from mpiapps.comm.string_memory import LARGE_BYTES
from mpiapps.tasks.mpi_pool import MPIPool


class Pair(NamedTuple):
    text: str
    content: bytes


def strings(size):
    yield from ("a" * size, b"\xff\0" * (size // 2), "\0" * size, "\x7f" * size)
    yield from ("é" * size, "中" * size, "😀" * size, bytearray(size))


def values():
    for size in (0, 1, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 2**22):
        for string in strings(size):
            yield from (
                string,
                [string, 3],
                (1, (string, {"key": string})),
                {3: string},
            )
    yield Pair("a" * LARGE_BYTES, b"b" * LARGE_BYTES)
    yield ["a" * LARGE_BYTES] * 3


@pytest.mark.parametrize("protocol", range(2, 6))
def test_packed_strings_are_restored_also_if_they_are_pickled_again(protocol):
    for value in values():
        packed = pack(value)
        for received in (packed, pickle.loads(pickle.dumps(packed, protocol))):
            restored = unpack(received)
            assert restored == value
            assert type(restored) is type(value)


def test_ascii_and_bytes_are_not_pickled():
    for string in ("a" * 10**6, b"\xff" * 10**6):
        for value in (string, [string], (max, (string,), {})):
            packed = pack(value)
            assert len(packed.data) < 1000
            assert packed.nbytes > 10**6


def test_a_string_that_occurs_several_times_is_sent_once():
    for string in ("a" * 10**6, b"\xff" * 10**6):
        packed = pack([(string, n) for n in range(100)])
        assert packed.nbytes < 2 * 10**6
        restored = unpack(packed)
        assert restored == [(string, n) for n in range(100)]
        assert all(text is restored[0][0] for text, _ in restored)


def identity(value):
    return value


def tripled(value):
    return value * 3


@pytest.mark.mpi
def test_strings_of_any_kind_are_items_and_results(comm):
    items = [value for value in values() if not isinstance(value, dict)]
    with MPIPool(comm) as pool:
        if pool is not None:
            assert pool.map(identity, items) == items
            assert list(pool.imap(identity, items, 3)) == items
            texts = ["a" * LARGE_BYTES, "é" * LARGE_BYTES, b"a" * 2**22]
            futures = [pool.submit(tripled, value=text) for text in texts]
            futures += [pool.submit(tripled, text) for text in texts]
            assert [f.result() for f in futures] == [text * 3 for text in texts * 2]

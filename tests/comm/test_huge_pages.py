"""New memory of messages: huge pages, unless they are slow."""

import itertools
import mmap

import numpy as np
import pytest

from mpiapps.comm import huge_pages
from mpiapps.comm.huge_pages import MIN_BYTES, PAGE_BYTES, SMALL_BYTES, NewMemory
from mpiapps.comm.messages import MessageChannel


@pytest.fixture
def advised(monkeypatch):
    """Return the bytes of each advice, while each page takes a second."""
    calls = []
    for name in ("MADV_HUGEPAGE", "MADV_NOHUGEPAGE"):  # those of Linux
        monkeypatch.setattr(mmap, name, name, raising=False)
    # Also where the kernel has no huge pages, or the user declined them.
    monkeypatch.setattr(huge_pages, "_MADVISE", True)
    monkeypatch.setattr(
        huge_pages,
        "_advise",
        lambda first, end, advice: calls.append((advice, end - first)),
    )
    seconds = itertools.count()
    monkeypatch.setattr(huge_pages.time, "thread_time", lambda: next(seconds))
    return calls


def test_small_pages_follow_slow_huge_ones(advised):
    memory, pages = NewMemory(), np.empty(8 * PAGE_BYTES, np.uint8)
    for _ in range(4):
        memory.touch(pages)
    (first, _), (second, rest), *others = advised
    assert (first, second) == (mmap.MADV_HUGEPAGE, mmap.MADV_NOHUGEPAGE)
    assert 0 < rest < 8 * PAGE_BYTES
    assert {advice for advice, _ in others} == {mmap.MADV_NOHUGEPAGE}


def test_fast_pages_stay_huge(advised, monkeypatch):
    monkeypatch.setattr(huge_pages.time, "thread_time", lambda: 0.0)
    pages = np.full(8 * PAGE_BYTES, 7, np.uint8)
    NewMemory().touch(pages)
    NewMemory().touch(np.empty(MIN_BYTES - 1, np.uint8))
    assert [advice for advice, _ in advised] == [mmap.MADV_HUGEPAGE]
    assert np.count_nonzero(pages == 0) >= 7


def test_huge_pages_are_tried_again(advised):
    memory, pages = NewMemory(), np.empty(SMALL_BYTES + 2 * PAGE_BYTES, np.uint8)
    for _ in range(3):
        memory.touch(pages)
    tried = [advice for advice, _ in advised].count(mmap.MADV_HUGEPAGE)
    assert tried == 2


@pytest.mark.mpi
@pytest.mark.parametrize("nbytes", [MIN_BYTES - 1, MIN_BYTES, 3 * MIN_BYTES + 4097])
@pytest.mark.parametrize("kind", [bytes, np.asarray])
def test_large_messages_are_received_whole(comm, nbytes, kind):
    content = np.random.default_rng(nbytes).bytes(nbytes)
    value = kind(np.frombuffer(content, np.uint8))
    channel = MessageChannel(comm, 1)
    if comm.rank == 0:
        for rank in range(1, comm.size):
            channel.isend(rank, value)
        channel.close()
    else:
        received = channel.recv(0)[1]
        assert type(received) is type(value)
        assert bytes(received) == content

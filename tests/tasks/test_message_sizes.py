"""Items and results that are large are not sent together."""

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mpiapps.comm.pickling import OUT_OF_BAND_BYTES
from mpiapps.tasks import pending_memory, task_queue
from mpiapps.tasks.chunk import Chunk
from mpiapps.tasks.chunker import Chunker
from mpiapps.tasks.mpi_pool import MPIPool
from mpiapps.tasks.payload import pack_items, unpack_items
from mpiapps.tasks.pending_memory import MAX_EXCESS, PendingMemory
from mpiapps.tasks.results import MapResult
from mpiapps.tasks.task_queue import ChunkQueue

pytestmark = pytest.mark.mpi
LIMIT, LARGE = 10_000, 2_000  # bytes of a message, and of an item
RAN = []  # items of this process
PICKLED = []  # numbers of items
ITEMS = {
    "dicts": [{n: "x" * LARGE} for n in range(100)],
    "arrays": [np.full(LARGE, n, np.uint8) for n in range(100)],
    "strings": [f"{n:08}" * (LARGE // 8) for n in range(100)],
    "growing": [{n: "x" * (LARGE if n > 20 else 1)} for n in range(100)],
    "larger than a message": [{n: "x" * 2 * LIMIT} for n in range(20)],
}


def give_when(item):
    """Return a large result; wait for a file before the third one."""
    n, path = item
    for _ in range(30_000):
        if n < 2 or Path(path).exists():
            return n, "x" * LARGE
        time.sleep(1e-3)
    raise TimeoutError(path)


@pytest.fixture(autouse=True)
def limit(monkeypatch):
    monkeypatch.setattr(pending_memory, "MESSAGE_BYTES", LIMIT)


@pytest.fixture
def sent(monkeypatch):
    """Return the list of what is sent: payloads, and their numbers of items."""
    entries = []

    def next_pickled(queue):
        if (entry := method(queue)) is not None:
            entries.append((entry[1], len(entry[0].items)))
        return entry

    method = ChunkQueue.next_pickled
    monkeypatch.setattr(ChunkQueue, "next_pickled", next_pickled)
    return entries


def is_sending(comm):
    """Return whether this rank sends tasks to others."""
    return comm.rank == 0 and comm.size > 1


@pytest.mark.parametrize("kind", ITEMS)
def test_a_chunk_of_large_items_is_sent_in_parts(comm, sent, kind):
    items = ITEMS[kind]
    with MPIPool(comm) as pool:
        if pool is not None:
            lengths = pool.map(len, items, chunksize=len(items))
            assert lengths == list(map(len, items))
    assert bool(sent) is is_sending(comm)
    for payload, n in sent:
        assert unpack_items(payload)[0]
        size = pending_memory.payload_bytes(payload)
        assert n == 1 or size <= MAX_EXCESS * LIMIT


def test_pairs_of_items_that_grow_are_sent_apart(comm, sent):
    items = [b"x"] * 6 + [b"y" * (8 * LIMIT)] * 4
    with MPIPool(comm) as pool:
        if pool is not None:
            lengths = pool.map(len, items, chunksize=2)
            assert lengths == list(map(len, items))
    for payload, n in sent:
        assert n == 1 or pending_memory.payload_bytes(payload) <= MAX_EXCESS * LIMIT


def returned(value):
    return value


def test_an_item_of_results_is_its_own_array(comm):
    array = np.arange(5.0)
    with MPIPool(comm) as pool:
        if pool is not None:
            results = pool.map(np.asarray, [array] * 8, chunksize=4)
            results[0][:] = -1
            assert [list(result) for result in results[1:]] == [list(array)] * 7


def test_an_iterator_may_wait_for_results_of_its_pool(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            futures = [pool.submit(time.sleep, 0.2) for _ in range(2 * comm.size)]
            items = (future.result() for future in futures)
            assert list(pool.imap(returned, items)) == [None] * len(futures)


@pytest.mark.parametrize("items", [[1], iter([1])], ids=["list", "iterator"])
def test_only_items_at_hand_are_pickled_early(items):
    chunker, memory = Chunker(items, 1, 1), PendingMemory(1, 1)
    call = MapResult(0, None, None, chunker, memory, True, None)
    queue, future = ChunkQueue(), SimpleNamespace(set_running=lambda _: True)
    queue.add(call)
    queue.add(Chunk(future, 0, [2]))
    queue.prepare()
    assert (chunker.next() == []) is isinstance(items, list)
    assert queue.next_pickled()[0].items == [1] if isinstance(items, list) else True
    queue.prepare()  # the call has no more: what follows can still be cancelled
    assert queue.next().results is future


def test_small_items_are_sent_together(comm, sent):
    with MPIPool(comm) as pool:
        if pool is not None:
            assert pool.map(abs, range(100), chunksize=50) == list(range(100))
    assert [n for _, n in sent] == ([50, 50] if is_sending(comm) else [])


def test_what_items_share_does_not_divide_a_chunk(comm, sent):
    shared = bytearray(2 * LIMIT)
    with MPIPool(comm) as pool:
        if pool is not None:
            items = [(shared, n) for n in range(100)]
            assert pool.map(len, items, chunksize=50) == [2] * 100
    assert [n for _, n in sent] == ([50, 50] if is_sending(comm) else [])


@pytest.mark.parametrize(("first", "others"), [(100_000, LARGE), (70_000, 35_100)])
def test_a_larger_first_item_shares_nothing(comm, monkeypatch, first, others):
    sizes = []

    def pack(items, dumps):
        ok, payload = pack_items(items, dumps)
        sizes.append(pending_memory.payload_bytes(payload))
        return ok, payload

    monkeypatch.setattr(task_queue, "pack_items", pack)
    items = [{n: "x" * (others if n else first)} for n in range(100)]
    with MPIPool(comm) as pool:
        if pool is not None:
            assert pool.map(len, items, chunksize=100) == [1] * 100
    assert max(sizes, default=0) < first + 1000


@pytest.mark.parametrize("size", [1000, OUT_OF_BAND_BYTES])
def test_a_larger_object_of_all_items_is_sent_a_few_times(comm, sent, size):
    shared = [f"{n:5}" for n in range(size // 5)]
    with MPIPool(comm) as pool:
        if pool is not None:
            items = [(shared, n) for n in range(100)]
            assert pool.map(len, items, chunksize=100) == [2] * 100
    assert len(sent) <= 3


class Counted:
    """An item that notes when it is pickled."""

    def __init__(self, number, text=""):
        self.number, self.text = number, text

    def __reduce__(self):
        PICKLED.append(self.number)
        return Counted, (self.number, "x" * OUT_OF_BAND_BYTES)


def number_of(item):
    return item.number


def test_large_items_that_share_nothing_are_pickled_once(comm, monkeypatch):
    monkeypatch.undo()  # messages have 1 MiB
    PICKLED.clear()
    with MPIPool(comm) as pool:
        if pool is not None:
            items = [Counted(number) for number in range(9)]
            assert pool.map(number_of, items, chunksize=9) == list(range(9))
    assert sorted(PICKLED) == (list(range(9)) if is_sending(comm) else [])


class PickledAfter:
    """An item whose pickling waits for a file."""

    def __init__(self, path, existed=True):
        self.path, self.existed = path, existed

    def __reduce__(self):
        for _ in range(10_000):
            if self.path.exists():
                break
            time.sleep(1e-3)
        return PickledAfter, (self.path, self.path.exists())


def make_file(item):
    """Make the file of an item; or return whether it existed before."""
    if isinstance(item, PickledAfter):
        return item.existed
    item[0].touch()
    return True


def test_a_large_item_is_sent_before_the_next_one_is_pickled(
    comm, monkeypatch, tmp_path
):
    monkeypatch.setattr(pending_memory, "MESSAGE_BYTES", 1000)  # MPI sends them at once
    with MPIPool(comm) as pool:
        if pool is not None:
            path = tmp_path / "made"
            items = [(path, "x" * 1500), PickledAfter(path)]
            assert all(pool.map(make_file, items, chunksize=1))


def test_large_results_arrive_before_their_chunk_has_ended(comm, tmp_path):
    path = Path(comm.bcast(str(tmp_path / "go")))
    with MPIPool(comm) as pool:
        if pool is not None:
            numbers = ((n, path) for n in range(4))
            if comm.size == 1:
                path.touch()
            results = pool.imap(give_when, numbers, chunksize=4)
            assert next(results)[0] == 0
            path.touch()
            assert [n for n, _ in results] == [1, 2, 3]


def test_a_large_shared_object_is_sent_a_few_times(comm, sent):
    shared = bytearray(20 * LIMIT)
    with MPIPool(comm) as pool:
        if pool is not None:
            items = [(shared, bytearray([n]) * (LIMIT // 2)) for n in range(40)]
            assert pool.map(len, items, chunksize=40) == [2] * 40
    assert len(sent) <= 5


@pytest.mark.parametrize("kind", ["items", "results"])
def test_pending_tasks_count_with_all_their_bytes(kind):
    memory = PendingMemory(2, 10_000)
    other = memory.results if kind == "items" else memory.items
    other.set(1)
    grown = getattr(memory, kind)
    grown.add(1, 16 * 10**6)
    grown.add(2, 16 * 10**6)
    for _ in range(50):
        grown.add(10, 10 * 500_000)
    assert memory.allows(100)
    assert not memory.allows(1000)


def slow_failure(item):
    RAN.append(item)
    time.sleep(2e-3)
    if item[0] == 300:
        raise ValueError(item)


def test_few_tasks_run_after_a_failed_call(comm):
    RAN.clear()
    with MPIPool(comm) as pool:
        if pool is not None:
            items = [(n,) for n in range(20_000)]
            with pytest.raises(ValueError, match="300"):
                pool.map(slow_failure, items, chunksize=100)
    assert comm.allreduce(len(RAN)) < 500 + 500 * comm.size


class Marked:
    """An item that makes a file when it is pickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        self.path.touch()
        return Marked, (self.path,)


def wait_for_file(item):
    """Wait until another item is pickled."""
    if isinstance(item, Marked):
        return True
    for _ in range(20_000):
        if item.exists():
            return True
        time.sleep(1e-3)
    return False


def test_the_next_chunk_is_pickled_while_all_workers_are_busy(comm, tmp_path):
    with MPIPool(comm) as pool:
        if pool is not None:
            path = tmp_path / "pickled"
            if comm.size == 1:
                path.touch()
            items = [path] * max(1, comm.size - 1) + [Marked(path)]
            assert all(pool.map(wait_for_file, items, chunksize=1))


@pytest.mark.parametrize("dtype", [float, complex, "U3", "f4,i2", object, "M8[s]"])
def test_arrays_are_results(comm, dtype):
    arrays = [np.arange(n).astype(dtype) for n in (0, 1, 5, 20_000)]
    with MPIPool(comm) as pool:
        if pool is not None:
            results = pool.map(np.copy, arrays * 5, chunksize=10)
            for array, result in zip(arrays * 5, results, strict=True):
                np.testing.assert_array_equal(result, array)
                assert result.dtype == array.dtype
                assert result.flags.writeable

"""Pickling of values of users."""

import gc
import os
import pickle
import threading

import pytest

from mpiapps.comm.pickling import OUT_OF_BAND_BYTES, pack, unpack, unpickle

MANY = [[number] for number in range(100_000)]


def refuse():
    raise ArithmeticError("not to be unpickled")


class Watched:
    """Notes, when it is unpickled, what `look` returns."""

    look, seen = staticmethod(gc.isenabled), []

    def __reduce__(self):
        return watch, ()


def watch():
    Watched.seen.append(Watched.look())


def collects_in_child():
    """Return whether garbage is collected in a child that another thread forks."""
    return in_thread(lambda: in_child(gc.isenabled))


def in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def in_child(function):
    if (pid := os.fork()) == 0:
        os._exit(function())
    return bool(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


class Refused:
    """Raises when it is unpickled."""

    def __reduce__(self):
        return refuse, ()


@pytest.fixture(autouse=True)
def seen():
    """Return what watched values have seen; leave garbage collection enabled."""
    Watched.seen.clear()
    yield Watched.seen
    gc.enable()


def test_no_garbage_is_collected_while_a_large_value_is_unpickled(seen):
    assert unpack(pack([MANY, Watched()])) == [MANY, None]
    assert seen == [False]
    assert gc.isenabled()


def test_garbage_is_collected_while_a_small_value_is_unpickled(seen):
    unpack(pack([Watched()]))
    assert seen == [True]


def test_forked_children_collect_garbage(seen, monkeypatch):
    monkeypatch.setattr(Watched, "look", staticmethod(collects_in_child))
    unpack(pack([MANY, Watched()]))
    assert seen == [True]
    gc.disable()
    assert not collects_in_child()


def test_garbage_is_collected_after_an_error_of_a_value():
    content = pickle.dumps([bytes(OUT_OF_BAND_BYTES), Refused()])
    with pytest.raises(ArithmeticError, match="not to be"):
        unpickle(content)
    assert gc.isenabled()


def test_collection_that_is_off_remains_off():
    gc.disable()
    assert unpack(pack(MANY)) == MANY
    assert not gc.isenabled()

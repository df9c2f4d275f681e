"""A program with failing ranks, started as plain python: victim.py FAILURE RANKS.

RANKS (one: rank 1; most: all but the root; all) call the function FAILURE while the
others wait in a barrier.
"""

import atexit
import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress

from mpiapps.base.errors import InputError
from mpiapps.comm import open_world


class Finished(Exception):
    """This rank is done."""


def raise_error(_world):
    raise ValueError("boom")


def refuse_input(_world):
    raise InputError("line 7 is not a number")


def exit_3(_world):
    sys.exit(3)


def exit_0(_world):
    sys.exit(0)


def exit_text(_world):
    sys.exit("no more")


def interrupt(_world):
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()


def terminate(_world):
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()


def terminate_blocked(world):
    """SIGTERM while the main thread is inside MPI, where no Python handler runs."""
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    world.comm.recv(source=world.rank, tag=1)  # never sent


class RaisesInDel:
    """Python prints and ignores an exception raised in `__del__`."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


def terminate_in_del(_world):
    RaisesInDel()
    signal.pause()


def agreed_error(world):
    with world.agree():
        if world.rank == 1:
            raise ValueError("boom")


def raise_with_closed_output(_world):
    sys.stdout.close()
    raise ValueError("boom")


def end_a_forked_child(_world):
    """A signal to a child, which inherits the handlers, does not end the rank."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(0.5)  # until the child has restored its handlers
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM
    time.sleep(0.5)  # the rank would have ended by now


def interrupt_when_done(_world):
    """SIGINT while this rank waits for the others to end."""
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    raise Finished


def wait_for_the_end(world):
    if world.is_root:
        print("waiting", flush=True)
    world.comm.recv(source=world.rank, tag=1)  # never sent


def be_idle(world):
    """Without messages, MPI does not detect the end of the launcher."""
    world.comm.Barrier()
    if world.is_root:
        print("waiting", flush=True)
    time.sleep(60)


def hold_the_gil_at_the_end(world):
    """Like an `MPI_Finalize` that waits for an ended rank."""
    atexit.register(ctypes.PyDLL(None).sleep, 60)
    be_idle(world)


if __name__ == "__main__":
    failure, ranks = sys.argv[1:]
    with open_world() as world:
        fails = {"one": world.rank == 1, "most": world.rank > 0, "all": True}[ranks]
        if fails:
            with suppress(Finished):
                globals()[failure](world)
        if failure != "interrupt_when_done":
            world.comm.Barrier()
        elif not fails:
            time.sleep(60)
    print("reached the end")

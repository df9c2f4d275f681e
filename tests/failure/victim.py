"""A program on ranks of which some fail: victim.py HOW WHO, started as plain python.

WHO fails (one: rank 1; most: all but the root; all) HOW says, while the others sit in
a barrier.
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


class Done(Exception):
    """This rank has nothing more to do."""


def raise_error(_world):
    raise ValueError("boom")


def refuse_input(_world):
    raise InputError("line 7 is no number")


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
    world.comm.recv(source=world.rank, tag=1)  # it never comes


class Swallows:
    """What raises while it is deleted is printed, and the program goes on."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


def terminate_in_a_callback(_world):
    Swallows()
    signal.pause()


def agreed_error(world):
    with world.agree():
        if world.rank == 1:
            raise ValueError("boom")


def raise_with_closed_output(_world):
    sys.stdout.close()
    raise ValueError("boom")


def end_a_forked_child(_world):
    """A child inherits handlers; its signals are not the rank's."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(0.5)  # until the child has left its parent's handlers
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM
    time.sleep(0.5)  # the watcher would have spoken by now


def interrupt_when_done(_world):
    """SIGINT while this rank waits for the others to end."""
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    raise Done


def wait_for_the_end(world):
    if world.is_root:
        print("waiting", flush=True)
    world.comm.recv(source=world.rank, tag=1)  # it never comes


def be_idle(world):
    """No message, nor anything else by which MPI could see the end of the launcher."""
    world.comm.Barrier()
    if world.is_root:
        print("waiting", flush=True)
    time.sleep(60)


def hold_the_gil_at_the_end(world):
    """As `MPI_Finalize` may that waits for a rank that is gone."""
    atexit.register(ctypes.PyDLL(None).sleep, 60)
    be_idle(world)


if __name__ == "__main__":
    how, who = sys.argv[1:]
    with open_world() as world:
        fails = {"one": world.rank == 1, "most": world.rank > 0, "all": True}[who]
        if fails:
            with suppress(Done):
                globals()[how](world)
        if how != "interrupt_when_done":
            world.comm.Barrier()
        elif not fails:
            time.sleep(60)
    print("reached the end")

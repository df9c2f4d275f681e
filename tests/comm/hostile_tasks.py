"""What tasks can do to whatever runs them: a table, each with what must come of it."""

import os
import threading
import time
from functools import partial

from mpiapps.comm.task import TaskError

BAD = 3  # the task that does it; the others return their item


class Own(BaseException):
    """A base exception of a user."""


class Mute(Exception):
    """Cannot be printed."""

    def __str__(self):
        raise SystemExit(9)

    __repr__ = __str__


class Stuck(Exception):
    """Cannot be pickled."""

    def __reduce__(self):
        raise KeyboardInterrupt


class Liar(Exception):
    """Is unpickled as what is not an error."""

    def __reduce__(self):
        return int, ("5",)


class Odd(Exception):
    """Cannot be made from what it is pickled as."""

    def __init__(self, one, two):
        super().__init__(one + two)


class Frozen(Exception):
    """Lets nobody set an attribute."""

    def __setattr__(self, name, value):
        raise AttributeError(name)


def exits():
    raise SystemExit(4)


class Unpickled:
    """Does something when it is unpickled, anywhere."""

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call, ()


class Unpickleable:
    """Ends whoever pickles it, if that is possible."""

    def __reduce__(self):
        raise GeneratorExit


def only_here(pid):
    """Return a number in one process, and raise in the others."""
    if os.getpid() != pid:
        raise StopIteration("not here")
    return 3


def raises(error, x):
    if x == BAD:
        raise error
    return x


def raises_made(make, x):
    if x == BAD:
        raise make()
    return x


def returns(make, x):
    return make() if x == BAD else x


def forks(code, x):
    if x == BAD and os.fork() == 0:
        if code is None:
            return x
        raise code
    time.sleep(0.05 if x == BAD else 0)  # the child ends meanwhile
    return x


def reaped(x):
    """Fork, and wait for the child, which comes back from its task as well."""
    if x != BAD:
        return x
    child = os.fork()
    if child == 0:
        return -1
    return x if os.waitpid(child, 0)[1] == 0 else -2


def starts_thread(x):
    if x == BAD:
        threading.Thread(target=time.sleep, args=(0.02,)).start()
    return x


def same(x):
    return x


# Function of an item; what task BAD comes to: an item, or the class of its error.
FUNCTIONS = {
    "an error": (partial(raises, ValueError("no")), ValueError),
    "StopIteration": (partial(raises, StopIteration(1)), TaskError),
    "StopAsyncIteration": (partial(raises, StopAsyncIteration()), TaskError),
    "GeneratorExit": (partial(raises, GeneratorExit()), TaskError),
    "KeyboardInterrupt": (partial(raises, KeyboardInterrupt()), TaskError),
    "SystemExit": (partial(raises, SystemExit(0)), TaskError),
    "a base exception": (partial(raises_made, Own), TaskError),
    "an error that is mute": (partial(raises_made, Mute), Mute),
    "an error that sets nothing": (partial(raises_made, Frozen), Frozen),
    "threads": (starts_thread, BAD),
    "a fork that comes back": (reaped, BAD),
    "a fork that raises": (partial(forks, KeyboardInterrupt()), BAD),
    "a fork that exits": (partial(forks, SystemExit(3)), BAD),
}
# As these; where nothing is sent, nothing is the matter: any outcome of BAD is right.
SENT = {
    "an error not pickled": (partial(raises_made, Stuck), TaskError),
    "an error not unpickled": (partial(raises_made, partial(Odd, 1, 1)), TaskError),
    "an error that is none": (partial(raises_made, Liar), TaskError),
    "a result not pickled": (partial(returns, Unpickleable), TaskError),
    "a result that exits": (partial(returns, partial(Unpickled, exits)), TaskError),
}
# Items in place of BAD.
ITEMS = {
    "an item not pickled": Unpickleable(),
    "a nested function": (lambda: 0),
    "a lock": threading.Lock(),
    "an item that exits": Unpickled(exits),
    "an item read at the root alone": Unpickled(partial(only_here, os.getpid())),
}

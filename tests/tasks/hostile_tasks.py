"""Tasks that try to break their pool, and the outcomes expected of them."""

import os
import threading
import time
from functools import partial

from mpiapps.tasks.task import TaskError

BAD = 3  # number of the hostile task; the others return their item


class UserBaseException(BaseException):
    """A base exception of a user."""


class UnprintableError(Exception):
    """Cannot be printed."""

    def __str__(self):
        raise SystemExit(9)

    __repr__ = __str__


class UnpicklableError(Exception):
    """Cannot be pickled."""

    def __reduce__(self):
        raise KeyboardInterrupt


class PickledAsInt(Exception):
    """Is unpickled as an object that is not an exception."""

    def __reduce__(self):
        return int, ("5",)


class TwoArgumentsError(Exception):
    """Cannot be unpickled: it is pickled with one argument and needs two."""

    def __init__(self, one, two):
        super().__init__(one + two)


class FrozenError(Exception):
    """Forbids setting attributes."""

    def __setattr__(self, name, value):
        raise AttributeError(name)


def exits():
    raise SystemExit(4)


class CallsWhenUnpickled:
    """Calls a function when it is unpickled."""

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call, ()


class RaisesGeneratorExit:
    """Raises a base exception when it is pickled."""

    def __reduce__(self):
        raise GeneratorExit


def only_in_process(pid):
    """Return a number in one process, and raise in the others."""
    if os.getpid() != pid:
        raise StopIteration("another process")
    return 3


def raises(error, x):
    if x == BAD:
        raise error
    return x


def raises_new(make, x):
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
    time.sleep(0.05 if x == BAD else 0)  # until the child has ended
    return x


def forks_and_waits(x):
    """Fork, and wait for the child, which returns from its task too."""
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


def identity(x):
    return x


# Function, and the expected outcome of task BAD: its item or an exception class.
FUNCTIONS = {
    "an error": (partial(raises, ValueError("no")), ValueError),
    "StopIteration": (partial(raises, StopIteration(1)), TaskError),
    "StopAsyncIteration": (partial(raises, StopAsyncIteration()), TaskError),
    "GeneratorExit": (partial(raises, GeneratorExit()), TaskError),
    "KeyboardInterrupt": (partial(raises, KeyboardInterrupt()), TaskError),
    "SystemExit": (partial(raises, SystemExit(0)), TaskError),
    "a base exception": (partial(raises_new, UserBaseException), TaskError),
    "an error that cannot be printed": (
        partial(raises_new, UnprintableError),
        UnprintableError,
    ),
    "an error without attributes": (partial(raises_new, FrozenError), FrozenError),
    "threads": (starts_thread, BAD),
    "a fork that returns": (forks_and_waits, BAD),
    "a fork that raises": (partial(forks, KeyboardInterrupt()), BAD),
    "a fork that exits": (partial(forks, SystemExit(3)), BAD),
}
# The same; on a single rank nothing is sent, and any outcome of BAD is right.
SENT = {
    "an error not pickled": (partial(raises_new, UnpicklableError), TaskError),
    "an error not unpickled": (
        partial(raises_new, partial(TwoArgumentsError, 1, 1)),
        TaskError,
    ),
    "an error unpickled as an int": (partial(raises_new, PickledAsInt), TaskError),
    "a result not pickled": (partial(returns, RaisesGeneratorExit), TaskError),
    "a result that exits": (
        partial(returns, partial(CallsWhenUnpickled, exits)),
        TaskError,
    ),
}
# Items that replace BAD.
ITEMS = {
    "an item not pickled": RaisesGeneratorExit(),
    "a nested function": (lambda: 0),
    "a lock": threading.Lock(),
    "an item that exits": CallsWhenUnpickled(exits),
    "an item unpickled by the root only": CallsWhenUnpickled(
        partial(only_in_process, os.getpid())
    ),
}

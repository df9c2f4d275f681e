"""Values of users as bytes, and their code as it may be: each failure by itself.

Starts no MPI. A function, an argument, a result or an exception can raise anything when
it is called, pickled or unpickled. `attempt` is the one way through which all of that
runs, so that whatever happens is an outcome of the task that it belongs to.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import KeyboardInterruptSignal, Terminated
from mpiapps.base.forks import end_child, forks

SIGNALS = (
    Terminated,
    KeyboardInterruptSignal,
)  # raised by a signal: for the process, not the task
APART = 2**16  # bytes of a buffer that is kept apart rather than copied
# Types that pickle always restores: many values are pickled together.
PLAIN = frozenset({
    *(type(None), bool, int, float, complex, str, bytes),
    *(np.bool_, np.int32, np.int64, np.float32, np.float64),
})  # fmt: skip

Dumps = Callable[..., bytes]


def attempt(function: Callable[..., Any], *args: Any) -> tuple[bool, Any]:
    """Return whether a call of a user's code returned, and its result or error. Local.

    Signals that ask this process to end are raised. A process that the code forked,
    and that comes back from it, ends here: the caller goes on in its parent alone.
    """
    before = forks()
    outcome: tuple[bool, Any]
    try:
        outcome = True, function(*args)
    except SIGNALS:
        raise
    except BaseException as error:
        outcome = False, error
    if forks() != before:
        fine, value = outcome
        end_child(None if fine else value)
    return outcome


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error that `attempt` returned. Local."""
    where = error.__traceback__
    inner = where.tb_next if where is not None else None
    fine, lines = attempt(traceback.format_exception, type(error), error, inner)
    return "".join(lines) if fine else f"{type(error).__name__}\n"


def shown(value: Any) -> str:
    """Return ``repr(value)``, or its type where that raises. Local."""
    fine, text = attempt(repr, value)
    return text if fine else f"<{type(value).__name__}>"


def reason(error: BaseException) -> str:
    """Return the type and the text of an error, if it can be printed. Local."""
    fine, text = attempt(str, error)
    name = type(error).__name__
    return f"{name}: {text}" if fine and text else name


class Packed(NamedTuple):
    """A pickled value; its large buffers are apart, without a copy. Local.

    Attributes
    ----------
    data : bytes or array of uint8
    buffers : list of array of uint8
    """

    data: bytes | npt.NDArray[np.uint8]
    buffers: list[npt.NDArray[np.uint8]]

    @property
    def nbytes(self) -> int:
        """Return the bytes of all parts."""
        return len(self.data) + sum(buffer.nbytes for buffer in self.buffers)


def pack(value: Any, dumps: Dumps = pickle.dumps) -> Packed:
    """Pickle a value. Local; raises what `dumps` and the value raise.

    Arrays in one piece are not copied: they must not change before they are sent.
    """
    buffers: list[npt.NDArray[np.uint8]] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not in one piece
            return True
        if raw.nbytes >= APART:
            buffers.append(np.frombuffer(raw, np.uint8))
        return raw.nbytes < APART  # whether it is pickled with the rest

    data = dumps(value, protocol=5, buffer_callback=keep)
    if len(data) >= APART:
        return Packed(np.frombuffer(data, np.uint8), buffers)
    return Packed(data, buffers)


def unpack(packed: Packed) -> Any:
    """Return the value that was packed. Local; raises what the value raises."""
    data = packed.data
    content = data if isinstance(data, bytes) else data.data
    return pickle.loads(content, buffers=packed.buffers)


def is_plain(values: list[Any]) -> bool:
    """Return whether pickle restores all values for certain. Local."""
    return PLAIN.issuperset(map(type, values))

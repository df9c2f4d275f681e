"""Pickling of user objects, and calls of user code whose errors belong to a task.

Starts no MPI. A function, an argument, a result or an exception can raise anything when
it is called, pickled or unpickled. All of that runs through `attempt`, so that a
failure is an outcome of its task.
"""

from __future__ import annotations

import gc
import os
import pickle
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mpiapps.base.errors import KeyboardInterruptSignal, Terminated
from mpiapps.comm.string_memory import StringMemory, without_large_strings
from mpiapps.launch.forks import end_child, forks

SIGNALS = (Terminated, KeyboardInterruptSignal)  # they end the process, not the task
OUT_OF_BAND_BYTES = 2**16  # buffers of at least this size are not copied
# Types that pickle always restores, so that many values can be pickled together.
PLAIN_TYPES = frozenset({
    *(type(None), bool, int, float, complex, str, bytes),
    *(np.bool_, np.int32, np.int64, np.float32, np.float64),
})  # fmt: skip

Dumps = Callable[..., bytes]
Loads = Callable[..., Any]


def attempt(function: Callable[..., Any], *args: Any) -> tuple[bool, Any]:
    """Return whether a call of user code returned, and its result or error. Local.

    Signals that end this process are raised. A forked child that returns from the code
    ends here: the caller continues only in the parent.
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
        succeeded, value = outcome
        end_child(None if succeeded else value)
    return outcome


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an error that `attempt` returned. Local."""
    trace = error.__traceback__
    inner = trace.tb_next if trace is not None else None
    succeeded, lines = attempt(traceback.format_exception, type(error), error, inner)
    return "".join(lines) if succeeded else f"{type(error).__name__}\n"


def shown(value: Any) -> str:
    """Return ``repr(value)``, or its type if that raises. Local."""
    succeeded, text = attempt(repr, value)
    return text if succeeded else f"<{type(value).__name__}>"


def reason(error: BaseException) -> str:
    """Return the type and the text of an error, if it can be printed. Local."""
    succeeded, text = attempt(str, error)
    name = type(error).__name__
    return f"{name}: {text}" if succeeded and text else name


class Pickled(NamedTuple):
    """A pickled value with out-of-band buffers, which are not copied. Local.

    Attributes
    ----------
    data : bytes or array of uint8
    buffers : list of array of uint8, or str or bytes
        Those of strings are strings when they are received.
    """

    data: bytes | npt.NDArray[np.uint8]
    buffers: list[npt.NDArray[np.uint8]]

    @property
    def nbytes(self) -> int:
        """Return the bytes of all parts."""
        return len(self.data) + sum(map(len, self.buffers))


def pack(value: Any, dumps: Dumps = pickle.dumps) -> Pickled:
    """Pickle a value. Local; raises the errors of `dumps` and of the value.

    Contiguous arrays are not copied: they must not change before they are sent. Nor are
    large strings that are the value, or in it if it is a list or tuple.
    """
    buffers: list[npt.NDArray[np.uint8]] = []

    def is_in_band(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if raw.nbytes >= OUT_OF_BAND_BYTES:
            owner: Any = memoryview(buffer).obj
            is_string = isinstance(owner, StringMemory)
            buffers.append(owner if is_string else np.frombuffer(raw, np.uint8))
        return raw.nbytes < OUT_OF_BAND_BYTES

    value = without_large_strings(value)
    data = dumps(value, protocol=5, buffer_callback=is_in_band)
    if len(data) >= OUT_OF_BAND_BYTES:
        return Pickled(np.frombuffer(data, np.uint8), buffers)
    return Pickled(data, buffers)


def unpack(packed: Pickled, loads: Loads = pickle.loads) -> Any:
    """Return the value that was packed. Local; raises the errors of the value."""
    data = packed.data
    content = data if isinstance(data, bytes) else data.data
    return unpickle(content, packed.buffers, loads)


def unpickle(
    content: bytes | bytearray | memoryview,
    buffers: Sequence[Any] = (),
    loads: Loads = pickle.loads,
) -> Any:
    """Return a value. Local; raises the errors of the value.

    No garbage is collected while a large value is made: none of its objects is garbage,
    and to visit them again and again takes longer than to make them. Cycles that
    ``__reduce__`` or ``__setstate__`` make meanwhile are collected afterwards.
    """
    if len(content) < OUT_OF_BAND_BYTES or not gc.isenabled():
        return loads(content, buffers=buffers)
    thread = threading.get_ident()
    _pausing.add(thread)
    try:
        gc.disable()
        return loads(content, buffers=buffers)
    finally:
        gc.enable()
        _pausing.discard(thread)


_pausing: set[int] = set()  # threads that have disabled garbage collection


def _collect_in_child() -> None:
    """Enable in a forked child what a thread, which the child lacks, has disabled."""
    if _pausing:
        gc.enable()
        _pausing.clear()


os.register_at_fork(after_in_child=_collect_in_child)


def is_plain(values: list[Any]) -> bool:
    """Return whether all values have `PLAIN_TYPES`. Local."""
    return PLAIN_TYPES.issuperset(map(type, values))


def is_restorable(values: list[Any]) -> bool:
    """Return whether pickle is certain to restore all values. Local.

    Not of an array that is several of the values: it would become one array again.
    """
    if is_plain(values):
        return True
    arrays = [value for value in values if type(value) not in PLAIN_TYPES]
    return len(set(map(id, arrays))) == len(arrays) and all(
        type(array) is np.ndarray
        and array.dtype.isbuiltin == 1
        and not array.dtype.hasobject
        for array in arrays
    )

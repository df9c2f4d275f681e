"""Functions that plain pickle refuses, such as lambdas, pickled by cloudpickle."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from mpiapps.comm.pickling import Dumps


def dumps_by_value() -> Dumps | None:
    """Return cloudpickle's dumps, or None if it is not installed. Local."""
    try:
        import cloudpickle
    except ImportError:
        return None
    dumps: Dumps = cloudpickle.dumps
    return dumps


def sendable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function; if it is a lambda or nested, one that can be pickled. Local.

    Returns the function itself if cloudpickle is not installed.
    """
    is_local = "<" in getattr(function, "__qualname__", "")
    dumps = dumps_by_value() if is_local else None
    return function if dumps is None else _ByValue(function, dumps)


class _ByValue:
    """A function that is pickled with what it refers to."""

    def __init__(self, function: Callable[..., Any], dumps: Dumps) -> None:
        self._function, self._dumps = function, dumps

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self._dumps(self._function),)

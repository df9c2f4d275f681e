"""What concurrent fits of a process share: threads, generators, warnings."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

serial = threading.Lock()


def shares_generator(model: Any) -> bool:
    """Return whether concurrent fits of `model` in one process affect each other.

    The libsvm and liblinear of scikit-learn share one random generator per process, and
    release the GIL (sklearn/svm/src/newrand/newrand.h).
    """
    return any(
        type(part).__module__.startswith("sklearn.svm")
        or getattr(part, "solver", None) == "liblinear"
        for part in (model, *model.get_params().values())
    )


class _ThreadState(threading.local):
    """State per thread, as fits may run concurrently."""

    limited = False
    texts: list[str] | None = None


_state = _ThreadState()


def limit_threads() -> None:
    """Limit BLAS and OpenMP to one thread, for this thread, from now on.

    Fits run concurrently, and the last bits of sums depend on the number of threads.
    """
    if not _state.limited:
        from threadpoolctl import ThreadpoolController

        ThreadpoolController().limit(limits=1)
        _state.limited = True


@contextmanager
def captured_warnings() -> Iterator[list[str]]:
    """Yield a list that collects this thread's warnings in the ``with`` block.

    `warnings.catch_warnings` affects the whole process, and is not thread-safe.
    """
    if warnings.showwarning is not _show_warning:
        _original[:] = [warnings.showwarning]
        warnings.showwarning = _show_warning
    warnings.simplefilter("always")
    texts: list[str] = []
    _state.texts = texts
    try:
        yield texts
    finally:
        _state.texts = None


_original: list[Any] = []


def _show_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    if _state.texts is not None:
        _state.texts.append(str(message))
    else:
        _original[0](message, *args, **kwargs)

"""A replacement for dask-mpi in scripts that run in an existing cluster.

dask-mpi's ``initialize()`` is collective over all ranks; here only the root runs the
script, and the call would deadlock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

NAME = "dask_mpi"


@contextmanager
def shim_installed() -> Iterator[None]:
    """Let ``import dask_mpi`` import this shim in the ``with`` block."""
    original = sys.modules.get(NAME)
    module = ModuleType(NAME, __doc__)
    for function in (initialize, execute, send_close_signal):
        setattr(module, function.__name__, function)
    sys.modules[NAME] = module
    try:
        yield
    finally:
        del sys.modules[NAME]
        if original is not None:
            sys.modules[NAME] = original


def initialize(*args: Any, **settings: Any) -> bool:
    """Return True: this process is the client of a running cluster."""
    _warn_unused("initialize", args, settings)
    return True


def execute(
    client_function: Callable[..., Any] | None = None,
    client_args: Sequence[Any] = (),
    client_kwargs: Mapping[str, Any] | None = None,
    *args: Any,
    **settings: Any,
) -> None:
    """Call the function in this process, the client."""
    _warn_unused("execute", args, settings)
    if client_function is not None:
        client_function(*client_args, **(client_kwargs or {}))


def send_close_signal() -> None:
    """Do nothing: the end of the script closes the cluster."""


def _warn_unused(name: str, args: Sequence[Any], settings: Mapping[str, Any]) -> None:
    if args or settings:
        listed = ", ".join(
            [*map(repr, args), *(f"{k}={v!r}" for k, v in settings.items())]
        )
        sys.stderr.write(
            f"mpiapps: note: dask_mpi.{name}({listed}): arguments ignored, as the"
            " cluster is already running; use options of mpiapps.dask such as --threads"
            " and --memory\n"
        )

"""What scripts written for dask-mpi import, where the cluster is there already.

Their ``initialize()`` would start one over all ranks, and wait for ranks that never
call it: they wait for the script to end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

NAME = "dask_mpi"


@contextmanager
def stand_in() -> Iterator[None]:
    """Let ``import dask_mpi`` find the functions below in the ``with`` block. Local."""
    before = sys.modules.get(NAME)
    module = ModuleType(NAME, __doc__)
    for function in (initialize, execute, send_close_signal):
        setattr(module, function.__name__, function)
    sys.modules[NAME] = module
    try:
        yield
    finally:
        del sys.modules[NAME]
        if before is not None:
            sys.modules[NAME] = before


def initialize(*args: Any, **settings: Any) -> bool:
    """Return that this is the client; the cluster is there already. Local."""
    _note("initialize", args, settings)
    return True


def execute(
    client_function: Callable[..., Any] | None = None,
    client_args: Sequence[Any] = (),
    client_kwargs: Mapping[str, Any] | None = None,
    *args: Any,
    **settings: Any,
) -> None:
    """Call the function as the client. Local."""
    _note("execute", args, settings)
    if client_function is not None:
        client_function(*client_args, **(client_kwargs or {}))


def send_close_signal() -> None:
    """Do nothing: the end of the script closes the cluster. Local."""


def _note(name: str, args: Sequence[Any], settings: Mapping[str, Any]) -> None:
    if args or settings:
        listed = ", ".join(
            [*map(repr, args), *(f"{k}={v!r}" for k, v in settings.items())]
        )
        sys.stderr.write(
            f"mpiapps: note: dask_mpi.{name}({listed}): the cluster is there already,"
            " as the options of mpiapps.dask say, such as --threads and --memory;"
            " these arguments change nothing\n"
        )

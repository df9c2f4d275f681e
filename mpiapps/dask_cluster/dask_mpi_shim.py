"""A replacement for dask-mpi in scripts that run in an existing cluster.

dask-mpi's ``initialize()`` is collective over all ranks; here only the root runs the
script, and the call would deadlock. So would the script's own collective calls: for it,
``MPI.COMM_WORLD`` is a communicator of one rank.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

NAME = "dask_mpi"
SUBMODULES = ("core", "execute", "initialize", "exceptions")  # of any release
MPI_NAME = "mpi4py.MPI"


class WorldTooSmallException(RuntimeError):
    """Of dask-mpi, for scripts that catch it; not raised, as one rank is enough."""


@contextmanager
def shim_installed() -> Iterator[None]:
    """Let ``import dask_mpi`` import this shim in the ``with`` block."""
    names = (NAME, *(f"{NAME}.{submodule}" for submodule in SUBMODULES))
    originals = {name: sys.modules.pop(name, None) for name in names}
    for name in names:
        module = sys.modules[name] = ModuleType(name, __doc__)
        for item in (initialize, execute, send_close_signal, WorldTooSmallException):
            setattr(module, item.__name__, item)
    vars(sys.modules[NAME])["core"] = sys.modules[f"{NAME}.core"]
    try:
        with _alone():
            yield
    finally:
        for name, original in originals.items():
            del sys.modules[name]
            if original is not None:
                sys.modules[name] = original


@contextmanager
def _alone() -> Iterator[None]:
    """Replace ``MPI.COMM_WORLD`` in the ``with`` block, if this process has MPI."""
    mpi: Any = sys.modules.get(MPI_NAME)
    if mpi is None:
        yield
        return
    world, mpi.COMM_WORLD = mpi.COMM_WORLD, mpi.COMM_SELF
    try:
        yield
    finally:
        mpi.COMM_WORLD = world


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

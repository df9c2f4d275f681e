"""What a program is, what it returns, and how programs are found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mpiapps.comm.world import World


@dataclass(frozen=True)
class Result:
    """What a run found; the root's is reported, the other ranks' only counts its code.

    Attributes
    ----------
    values : mapping
        The results by name: numbers, texts, or lists of them. The same words stand in
        the text report, the CSV file and the JSON record.
    ranks : sequence of mapping
        One row per rank, for the record and ``--verbose``.
    notes : sequence of str
        What a reader of the values must know.
    exit_code : int
        0, or 3 (some tasks failed) or 4 (a check failed), which are results too.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    ranks: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    exit_code: int = 0


@dataclass(frozen=True)
class Program:
    """A rank-aware program: its name, what it does, its options and its `run`.

    `run` is collective: all ranks call it with their `World` and the same options. It
    returns a `Result` on every rank and prints nothing. `check` looks at the options
    before MPI starts and raises `ValueError` for values that do not go together.
    `resumable` returns whether a run with these options can stop into a checkpoint and
    go on; one that cannot refuses ``--checkpoint`` and ``--seconds``. A `quiet` program
    leaves both outputs to what it runs: its report is for ``--verbose`` alone.
    """

    name: str
    summary: str
    options: type[Any]
    run: Callable[[World, Any], Result]
    check: Callable[[Any], None] = lambda _options: None
    quiet: bool = False
    resumable: Callable[[Any], bool] = lambda _options: True


def programs() -> dict[str, Program]:
    """Return every program of the package by name: the modules with a ``PROGRAM``.

    Local. Starts no MPI: programs load it inside `run`.
    """
    import mpiapps

    found = {}
    for module in pkgutil.iter_modules(mpiapps.__path__):
        if module.ispkg or module.name == "__main__":
            continue
        program = getattr(
            importlib.import_module(f"mpiapps.{module.name}"), "PROGRAM", None
        )
        if isinstance(program, Program):
            found[program.name] = program
    return found

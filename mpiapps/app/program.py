"""What a program is, what it returns, and how programs are found."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app.output import DIGITS
from mpiapps.base.errors import UsageError
from mpiapps.base.streams import write_err

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
    digits : int
        Significant digits of numbers in the text report; the record and CSV hold them
        whole.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    ranks: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    exit_code: int = 0
    digits: int = DIGITS


@dataclass(frozen=True)
class Program:
    """A rank-aware program: its name, what it does, its options and its `run`.

    `run` is collective: all ranks call it with their `World` and the same options. It
    returns a `Result` on every rank and prints nothing. `check` looks at the options
    before MPI starts and raises `ValueError` for values that do not go together.
    `resumable` returns whether a run with these options can stop into a checkpoint and
    go on; one that cannot refuses ``--checkpoint`` and ``--seconds``. A `quiet` program
    leaves both outputs to what it runs: its report is for ``--verbose`` alone.
    `reads_stdin` returns whether the root reads standard input, by
    `mpiapps.base.stdin`.
    """

    name: str
    summary: str
    options: type[Any]
    run: Callable[[World, Any], Result]
    check: Callable[[Any], None] = lambda _options: None
    quiet: bool = False
    resumable: Callable[[Any], bool] = lambda _options: True
    reads_stdin: Callable[[Any], bool] = lambda _options: False


GROUP = "mpiapps.programs"  # the entry points of other packages' programs


def programs() -> dict[str, Program]:
    """Return every program by name. Local.

    These are the modules of the package with a ``PROGRAM``, and what installed packages
    name as entry points of the group `GROUP`, such as
    ``heat = "mypackage.heat:PROGRAM"``. Starts no MPI: programs load it inside `run`.
    """
    return {name: program for name, (program, _) in _programs().items()}


def _programs() -> dict[str, tuple[Program, str]]:
    """Return programs, and the modules that ``python -m`` starts, by name."""
    import mpiapps

    found = {}
    for module in pkgutil.iter_modules(mpiapps.__path__, "mpiapps."):
        if module.ispkg or module.name == "mpiapps.__main__":
            continue
        program = getattr(importlib.import_module(module.name), "PROGRAM", None)
        if isinstance(program, Program):
            found[program.name] = program, module.name
    for entry in entry_points(group=GROUP):
        try:
            program = entry.load()
        except Exception as error:  # somebody else's package must not end this command
            write_err(
                f"mpiapps: note: {GROUP} {entry.value} cannot be loaded: {error}\n"
            )
            continue
        found.setdefault(entry.name, (program, entry.module))
    return found


def find_program(name: str) -> tuple[Program | None, list[str]]:
    """Return a program, and the words after ``python`` that start it. Local.

    Parameters
    ----------
    name : str
        Of a program, or a file ``name.py``. A file that assigns ``PROGRAM`` at its top
        level is a program as those of the package are, and is loaded; any other file is
        a script, whose program is `None`.

    Raises
    ------
    UsageError
        If there is neither.
    """
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"{name!r} is not a file; name a script.py that exists")
        return _load(path), [name]
    found = _programs()
    if name not in found:
        raise UsageError(
            f"{name!r} is not a program; the programs are {', '.join(found)}, or name"
            " a script.py"
        )
    program, module = found[name]
    return program, ["-m", module]


def _load(path: Path) -> Program | None:
    """Return the ``PROGRAM`` of a file; a file without one is not executed. Local."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise UsageError(f"{path}, line {error.lineno}: {error.msg}") from error
    names = {
        node.id
        for statement in tree.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    if "PROGRAM" not in names:
        return None
    # No module's name, so that it takes the place of none.
    spec = spec_from_file_location(f"program in {path}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # as `python name.py` has it
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.path[0]
    program = getattr(module, "PROGRAM", None)
    return program if isinstance(program, Program) else None

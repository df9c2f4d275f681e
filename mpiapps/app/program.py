"""Programs: their definition, result and discovery."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.base.errors import UsageError
from mpiapps.base.registry import installed
from mpiapps.base.streams import write_err

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext


@dataclass(frozen=True)
class Result:
    """The result of a run. Only the root's is used.

    Attributes
    ----------
    values : mapping
        Results by name: numbers, strings, or lists of them. The text report, the CSV
        file and the JSON record use the same names.
    ranks : sequence of mapping
        One row per rank, for the record and ``--verbose``.
    notes : sequence of str
        Remarks on the values.
    exit_code : int
        0, 3 (some tasks failed), 4 (a check failed) or 78 (the environment is wrong).
    text : str, optional
        Printed in place of the report on `values`.
    stdout : bytes, optional
        Written to standard output; the report goes to standard error then.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    ranks: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    exit_code: int = 0
    text: str | None = None
    stdout: bytes | None = None


@dataclass(frozen=True)
class Program:
    """A parallel program.

    Attributes
    ----------
    name : str
    summary : str
        One line for ``mpiapps list`` and ``--help``.
    options : type
        Frozen dataclass of `mpiapps.app.option` fields.
    run : callable
        ``run(ctx, options)``, collective: all ranks call it with their `RunContext` and
        equal options. Returns a `Result` on all ranks; prints nothing.
    check : callable
        Called before MPI_Init; raises `ValueError` if options are incompatible.
    quiet : bool
        Whether the report is printed only with ``--verbose``, since the program runs
        commands that use both output streams.
    resumable : callable
        Whether a run with these options accepts ``--checkpoint`` and ``--seconds``.
    reads_stdin : callable
        Whether the root reads standard input, by `mpiapps.base.stdin`.
    virtual_seconds : callable, optional
        ``virtual_seconds(options, ranks, repeat)`` returns the run time by a model, in
        s, for `mpiapps scaling --virtual`; the options have ``virtual``, the ranks.
    """

    name: str
    summary: str
    options: type[Any]
    run: Callable[[RunContext, Any], Result]
    check: Callable[[Any], None] = lambda _options: None
    quiet: bool = False
    resumable: Callable[[Any], bool] = lambda _options: True
    reads_stdin: Callable[[Any], bool] = lambda _options: False
    virtual_seconds: Callable[[Any, int, int], float] | None = None


def programs() -> dict[str, Program]:
    """Return all programs by name.

    Programs are the ``PROGRAM`` of modules of this package, and entry points of
    installed packages in the group ``mpiapps.programs``, such as
    ``heat = "mypackage.heat:PROGRAM"``. Programs import MPI in `run` only.
    """
    return {name: program for name, (program, _) in _programs().items()}


def _programs() -> dict[str, tuple[Program, str]]:
    """Return programs, and their modules for ``python -m``, by name."""
    import mpiapps

    by_name = {}
    for module in pkgutil.iter_modules(mpiapps.__path__, "mpiapps."):
        if module.ispkg or module.name == "mpiapps.__main__":
            continue
        program = getattr(importlib.import_module(module.name), "PROGRAM", None)
        if isinstance(program, Program):
            by_name[program.name] = program, module.name
    for entry in installed("programs"):
        try:
            program = entry.load()
        except Exception as error:  # a broken package must not end this command
            write_err(
                f"mpiapps: note: {entry.group} {entry.value} cannot be loaded:"
                f" {error}\n"
            )
            continue
        by_name.setdefault(entry.name, (program, entry.module))
    return by_name


def find_program(name: str) -> tuple[Program | None, list[str]]:
    """Return a program, and the arguments of ``python`` that start it.

    Parameters
    ----------
    name : str
        Name of a program, or path of a file ``name.py``. A file that assigns
        ``PROGRAM`` at its top level is imported; any other file is a script, for which
        the program is `None`.

    Raises
    ------
    UsageError
        If the program or file does not exist.
    """
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(
                f"{name!r} is not a file; pass the path of an existing script.py"
            )
        return _load(path), [name]
    by_name = _programs()
    if name not in by_name:
        raise UsageError(
            f"{name!r} is not a program; the programs are {', '.join(by_name)}, or pass"
            " the path of a script.py"
        )
    program, module = by_name[name]
    return program, ["-m", module]


def _load(path: Path) -> Program | None:
    """Return the ``PROGRAM`` of a file; do not execute a file without one."""
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
    # Not a valid module name, so that it replaces no module.
    spec = spec_from_file_location(f"program in {path}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # as `python name.py` does
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.path[0]
    program = getattr(module, "PROGRAM", None)
    return program if isinstance(program, Program) else None

"""Standard input for ranks, also where an MPI does not pass its end on."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mpiapps.base.errors import LaunchError, naming

FILE = "MPIAPPS_STDIN"  # set by `mpiapps run`: where it put its standard input
# Set by prterun, the mpiexec of Open MPI 5. It passes no end of input to a rank
# (5.0.11: `mpiexec -n 1 cat </dev/null` never ends).
WITHOUT_END = "PRTE_LAUNCHED"


def spool() -> dict[str, str]:
    """Copy standard input to a file; return the variable that names it. Local.

    For a process that starts ranks. Whoever reads the file removes it.
    """
    with tempfile.NamedTemporaryFile(prefix="mpiapps-stdin-", delete=False) as file:
        try:
            shutil.copyfileobj(sys.stdin.buffer, file)
        except BaseException:
            Path(file.name).unlink()
            raise
    return {FILE: file.name}


@contextmanager
def standard_input(environ: Mapping[str, str] = os.environ) -> Iterator[BinaryIO]:
    """Give standard input, or what `mpiapps run` made of it. Local; once.

    Raises
    ------
    LaunchError
        If the launcher passes no end of it.
    ReadWriteError
        If the file is gone.
    """
    name = environ.get(FILE, "")
    if not name:
        if WITHOUT_END in environ:
            raise LaunchError(
                "Open MPI's mpiexec does not pass the end of standard input to a rank;"
                " start the program by `mpiapps run`, or write the input to a file and"
                " name that instead of -"
            )
        yield sys.stdin.buffer
        return
    with naming(name, "read"), Path(name).open("rb") as stream:
        Path(name).unlink()
        yield stream

"""Standard input of ranks, also if the launcher does not pass on its end of file."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mpiapps.base.errors import LaunchError, os_errors

STDIN_FILE = "MPIAPPS_STDIN"  # set by `mpiapps run`: path of a copy of standard input
# Set by prterun, the mpiexec of Open MPI 5. It does not pass end of file to a rank
# (5.0.11: `mpiexec -n 1 cat </dev/null` does not end).
NO_EOF_VARIABLE = "PRTE_LAUNCHED"


def spool() -> dict[str, str]:
    """Copy standard input to a file; return the environment variable with its path.

    For a process that starts ranks. The reader removes the file.
    """
    with tempfile.NamedTemporaryFile(prefix="mpiapps-stdin-", delete=False) as file:
        try:
            shutil.copyfileobj(sys.stdin.buffer, file)
        except BaseException:
            Path(file.name).unlink()
            raise
    return {STDIN_FILE: file.name}


@contextmanager
def standard_input() -> Iterator[BinaryIO]:
    """Yield standard input, or the copy of `mpiapps run`. Can be used once.

    Raises
    ------
    LaunchError
        If the launcher does not pass on end of file.
    FileAccessError
        If the copy cannot be read.
    """
    name = os.environ.get(STDIN_FILE, "")
    if not name:
        if NO_EOF_VARIABLE in os.environ:
            raise LaunchError(
                "Open MPI's mpiexec does not pass the end of standard input to a rank;"
                " start the program with `mpiapps run`, or write the input to a file"
                " and give its name instead of -"
            )
        yield sys.stdin.buffer
        return
    with os_errors(name, "read"), Path(name).open("rb") as stream:
        Path(name).unlink()
        yield stream

"""A stand-in for the CUDA driver library, compiled once."""

import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory


@cache
def directory() -> TemporaryDirectory[str]:
    """Return a directory with a ``libcuda.so.1``, removed when this process ends."""
    made = TemporaryDirectory(prefix="libcuda-")
    source = Path(__file__).with_name("driver_stand_in.c")
    command = ["gcc", "-shared", "-fPIC", "-o", f"{made.name}/libcuda.so.1", source]
    subprocess.run(command, check=True)
    return made


@cache
def absent_directory() -> TemporaryDirectory[str]:
    """Return a directory whose ``libcuda.so.1`` cannot be loaded."""
    made = TemporaryDirectory(prefix="no-libcuda-")
    Path(made.name, "libcuda.so.1").touch()
    return made


def absent() -> dict[str, str]:
    """Return the environment of a host without a driver library.

    The linker must not find that of the host on which the tests run, so it finds a
    file first that is no library.
    """
    return {"LD_LIBRARY_PATH": absent_directory().name}


def host(**variables: object) -> dict[str, str]:
    """Return the environment of a host whose devices these variables describe."""
    texts = {name: str(value) for name, value in variables.items()}
    return {"LD_LIBRARY_PATH": directory().name, **texts}

"""The `MPI` module of mpi4py, started after checks of the library and the launcher.

Importing it starts MPI, as importing ``mpi4py.MPI`` does; an unsuitable library or
launcher ends the program with exit code 78 before MPI could abort.
"""

from mpiapps.base.heap import keep_freed_memory
from mpiapps.launch.start import start_or_exit

start_or_exit()
keep_freed_memory()

from mpi4py import MPI  # noqa: E402 - an earlier import starts MPI before the checks

# All ranks, also in a script for which `MPI.COMM_WORLD` is replaced.
WORLD = MPI.COMM_WORLD

__all__ = ["MPI", "WORLD"]

"""MPI, started once and with the launch checked first, for the modules of this layer.

Importing it is what starts MPI, as importing ``mpi4py.MPI`` does; what is wrong with
the library or the launcher ends the program with 78 before MPI could die of it.
"""

from mpiapps.comm.start import start_or_exit

start_or_exit()

# An import any higher would start MPI before the launch is looked at.
from mpi4py import MPI  # noqa: E402

__all__ = ["MPI"]

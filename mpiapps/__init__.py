"""Rank-aware programs over MPI, from a laptop to a cluster."""

from mpiapps.launch.exit_before_mpi import report_uncaught

__version__ = "0.1.0"

# Under a launcher also an import that fails must end the ranks that do not.
report_uncaught()

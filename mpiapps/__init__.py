"""Rank-aware programs over MPI, from a laptop to a cluster."""

__version__ = "0.1.0"

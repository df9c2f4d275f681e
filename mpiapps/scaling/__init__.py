"""Scaling studies: measure a program on several counts of ranks, fit, predict, judge.

Runs on the login node and imports no MPI; NumPy and SciPy are imported by the modules
that compute, when the report is made.
"""

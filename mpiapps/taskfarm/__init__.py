"""The task farm: task lists, run directory, child processes of tasks, status.

The modules that the login node uses start no MPI.
"""

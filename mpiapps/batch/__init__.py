"""From a job request to a script, a submission and a state, on four schedulers.

Runs on a login node: the standard library and Jinja2, no MPI and no NumPy.
"""

"""Exercises in MPI: starting files, checks on ranks, and explanations."""

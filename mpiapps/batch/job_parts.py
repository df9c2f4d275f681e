"""Parts of a job that are not options: its parents, its archives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parent:
    """A run that a job depends on.

    Attributes
    ----------
    directory : str
    elements : str
        Directories of the array's elements, as a brace expansion, or that of the run.
    """

    directory: str
    elements: str


@dataclass(frozen=True)
class Stage:
    """Archives of a job's environment and modules: their paths, and MiB unpacked."""

    environment: str
    modules: str
    size: int
    program: str  # the user's script; empty: a module

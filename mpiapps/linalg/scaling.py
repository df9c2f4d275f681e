"""Scaling by powers of two: without rounding errors, also of denormal numbers.

Reciprocals of denormal numbers overflow, and so do NumPy's quotients of complex numbers
by them.
"""

from __future__ import annotations

import math

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.distmatrix import DistMatrix


def normalised(a: DistMatrix) -> tuple[DistMatrix, int]:
    """Return ``2**-exponent A``, a copy, and the exponent. Collective.

    See `scale_to_one`.
    """
    scaled = a.copy()
    return scaled, scale_to_one(a.comm, scaled.local)


def scale_to_one(comm: MPI.Intracomm, local: Array) -> int:
    """Multiply by ``2**-exponent``; return the exponent. Collective.

    The largest real or imaginary part of all ranks is then about one.
    """
    exponent = exponent_of(comm, local)
    scale_by_power(local, -exponent)
    return exponent


def exponent_of(comm: MPI.Intracomm, local: Array) -> int:
    """Return the binary exponent of the largest part of all ranks. Collective."""
    largest = np.array(np.abs(_parts(local)).max(initial=0), float)
    comm.Allreduce(MPI.IN_PLACE, largest, op=MPI.MAX)
    return math.frexp(float(largest))[1]


def scale_by_power(array: Array, exponent: int) -> None:
    """Multiply by ``2**exponent``; what overflows becomes infinite. Local."""
    parts = _parts(array)
    with np.errstate(over="ignore"):
        np.ldexp(parts, exponent, out=parts)


def _parts(array: Array) -> Array:
    """Return real and imaginary parts, a view. Local."""
    return array.view(array.real.dtype)

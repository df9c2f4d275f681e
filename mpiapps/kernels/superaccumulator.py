"""Exact sums of float64 numbers: integers for each exponent; one process.

A finite number is ``m * 2**(e - 1075)``, with a signed integer m of 53 bits and e from
1 to 2046. The upper and lower bits of the m of each e are added as two integers, which
do not overflow for fewer than 2**36 numbers.

Source: R. M. Neal, "Fast exact summation using small and large superaccumulators"
(arXiv:1505.05571, 2015).
"""

from __future__ import annotations

import numpy as np

from mpiapps.kernels.jit import kernel

FRACTION_BITS = 52
LOW_BITS = 27  # of m, in the second sum
EXPONENTS = 2048  # that of infinities and NaN is the last
SPECIAL = 0, 0  # of the sums: the number of infinities and NaN
UNIT_BITS = 1074  # the smallest positive number is 2**-UNIT_BITS


def new_sums() -> np.ndarray:
    """Return sums of no numbers, int64, (2, `EXPONENTS`)."""
    return np.zeros((2, EXPONENTS), np.int64)


@kernel
def add_bits(bits: np.ndarray, sums: np.ndarray) -> None:
    """Add numbers, given as their bits, int64, to sums."""
    for i in range(len(bits)):
        b = bits[i]
        e = (b >> FRACTION_BITS) & (EXPONENTS - 1)
        m = b & ((1 << FRACTION_BITS) - 1)
        if e == EXPONENTS - 1:
            sums[SPECIAL] += 1
            continue
        if e == 0:
            e = 1
        else:
            m |= 1 << FRACTION_BITS
        if b < 0:
            m = -m
        sums[0, e] += m >> LOW_BITS
        sums[1, e] += m & ((1 << LOW_BITS) - 1)


def units(sums: np.ndarray) -> int:
    """Return the sum of the finite numbers in units of ``2**-UNIT_BITS``."""
    exponents = np.flatnonzero(sums.any(axis=0))
    pairs = zip(exponents.tolist(), sums[:, exponents].T.tolist(), strict=True)
    return sum(((high << LOW_BITS) + low) << (e - 1) for e, (high, low) in pairs if e)

"""Count the lattice points of the quarter circle exactly: the bias of pi_estimate.BIAS.

The points are midpoints of a 2**bits x 2**bits grid; 32 bits take some 10 seconds.
"""

from decimal import Decimal, getcontext

import numpy as np

from mpiapps.kernels.jit import kernel

PI = Decimal("3.14159265358979323846264338327950288419716939937510")


@kernel
def points_inside(bits: int) -> int:
    """Walk along the circle: the height j falls as i grows, so it is one pass."""
    one = np.uint64(1)
    limit = one << np.uint64(2 * bits - 1)  # half of 4**bits, to fit 64 bits
    j = (one << np.uint64(bits)) - one
    inside = np.uint64(0)
    for i in range(1 << bits):
        u = np.uint64(i)
        half = (u * u + u) >> one
        while half + ((j * j + j) >> one) >= limit:
            j -= one
        inside += j + one
    return int(inside)


if __name__ == "__main__":
    getcontext().prec = 40
    for bits in (12, 16, 20, 32):
        inside = int(points_inside(bits))
        bias = 4 * Decimal(inside) / Decimal(4) ** bits - PI
        print(f"{bits} bits: {inside} points inside, bias {bias:.8g}")

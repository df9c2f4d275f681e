"""Divide arrays on a GPU by a ufunc, as courses end: python divide_1_ufunc.py 1e8."""

import sys
import time

import numpy as np
from numba import vectorize


@vectorize(["float64(float64, float64)"], target="cuda")
def divide(a, b):
    return a / b


n = int(float(sys.argv[1]))
rng = np.random.default_rng(1)
a, b = rng.random(n), 1 + rng.random(n)
for function in (np.divide, divide):
    function(a, b)  # the first call starts the device
    begin = time.perf_counter()
    quotients = function(a, b)
    print(f"{1e3 * (time.perf_counter() - begin):10.3f} ms", function)
print("equal" if np.array_equal(quotients, a / b) else "different")

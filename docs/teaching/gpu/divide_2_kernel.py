"""The same with the copies apart: python divide_2_kernel.py 1e8."""

import sys
import time

import numpy as np
from numba import cuda


@cuda.jit
def divide(a, b, quotients):
    i = cuda.grid(1)
    if i < len(a):
        quotients[i] = a[i] / b[i]


def report(name, call):
    call()  # the first call compiles
    cuda.synchronize()
    begin = time.perf_counter()
    call()
    cuda.synchronize()  # a kernel runs on when its call has returned
    print(f"{1e3 * (time.perf_counter() - begin):10.3f} ms", name)


n = int(float(sys.argv[1]))
threads = 256
blocks = -(-n // threads)
rng = np.random.default_rng(1)
a, b = rng.random(n), 1 + rng.random(n)
quotients = np.empty(n)
on_device = cuda.to_device(a), cuda.to_device(b), cuda.to_device(quotients)

report("NumPy", lambda: np.divide(a, b, out=quotients))
report("kernel and copies", lambda: divide[blocks, threads](a, b, quotients))
report("kernel alone", lambda: divide[blocks, threads](*on_device))
print("equal" if np.array_equal(on_device[2].copy_to_host(), a / b) else "different")

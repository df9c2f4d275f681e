"""Numba loops: one process, one thread, no communicator."""

import os

from mpiapps.kernels.cache import cache_folder

# Numba reads this variable once, when it is imported; the user's own setting wins.
if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = str(cache_folder())

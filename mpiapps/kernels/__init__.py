"""Loops compiled by Numba: one process, one thread, no communicator."""

import os

from mpiapps.kernels.cache import cache_directory

# Numba reads this variable at import; a setting of the user has precedence.
if "NUMBA_CACHE_DIR" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = str(cache_directory())

"""What the common parent of a host's workers has, besides Dask, before it is forked."""

import gc
import platform

platform.processor()  # runs a command, once; workers tell it when they connect
gc.freeze()  # they share these pages, and the parent ends without a look at them

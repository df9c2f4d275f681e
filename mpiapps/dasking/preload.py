"""What the common parent of a host's workers has before they are forked from it."""

import gc
import platform

import distributed  # noqa: F401 - imported once for all of them

platform.processor()  # runs a command, once; workers tell it when they connect
gc.freeze()  # they share these pages, and the parent ends without a look at them

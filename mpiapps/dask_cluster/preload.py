"""Imported by the common parent of a host's workers before it forks them."""

import gc
import platform

platform.processor()  # runs a command and caches its output, which each worker reports
gc.freeze()  # keeps the pages shared, and the parent's exit fast

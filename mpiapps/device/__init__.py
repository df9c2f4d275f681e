"""CUDA devices: the choice of a rank's device, and kernels on it."""

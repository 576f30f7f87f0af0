"""Numerical kernels: numpy and numba only; no frames, no files, no names of channels."""

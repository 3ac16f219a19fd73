"""Kernels of the integer operations, a module or folder for each family."""

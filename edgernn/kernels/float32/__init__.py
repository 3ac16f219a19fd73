"""Kernels of the float operations, a module or folder for each family."""

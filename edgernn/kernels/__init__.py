"""What is computed in a step: NumPy references that read like the specification, and the compiled kernels."""

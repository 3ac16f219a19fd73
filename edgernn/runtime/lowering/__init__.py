"""From operations to rows of the table that the kernels read."""

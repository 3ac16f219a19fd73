"""Reductions over an axis or over all frames so far, softmax, layer normalization."""

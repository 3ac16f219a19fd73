"""Compiled work of a stream on samples and scores: normalization and decisions."""

"""Rewrites of graphs and steps: norms and cells recognized, unrolled loops rerolled, dead code removed."""

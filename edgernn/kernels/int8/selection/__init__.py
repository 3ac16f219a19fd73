"""Integer comparisons, choices, and the largest or smallest numbers."""

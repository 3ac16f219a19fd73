"""The search for the axes of time and batch."""

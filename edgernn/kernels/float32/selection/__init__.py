"""Choices between values, conversions, and the largest or smallest numbers."""

"""Float programs to int8 programs, and what that changes."""

from edgernn.quantizer.quantize import quantize

__all__ = ["quantize"]

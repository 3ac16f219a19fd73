"""Float programs to int8 programs, and what that changes."""

from edgernn.quantizer.comparison import compare
from edgernn.quantizer.quantization import quantize
from edgernn.quantizer.report import LayerReport, QuantizationReport

__all__ = ["LayerReport", "QuantizationReport", "compare", "quantize"]

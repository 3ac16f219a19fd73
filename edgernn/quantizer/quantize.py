"""`edgernn.quantize`: a float program and recordings to an int8 program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgernn.errors import QuantizationError
from edgernn.program import Program
from edgernn.quantizer.calibration import Calibration, read_recordings, trace
from edgernn.quantizer.convert import Converter
from edgernn.quantizer.ranges import Method
from edgernn.quantizer.settings import Operands, Settings, States, check_settings


def quantize(
    program: Program,
    calibration: Calibration,
    *,
    operands: Operands = "w8a16",
    keep_float: Sequence[str] = (),
    layer_operands: Mapping[str, Operands] | None = None,
    ranges: Method = "mse",
    states: States = "auto",
    count_size: float | Sequence[float] | None = None,
    equalise: bool = True,
    correct_bias: bool = True,
) -> Program:
    """Make the int8 program of a float program."""
    if program.arithmetic != "float32":
        raise QuantizationError("the program is quantized already")
    settings = Settings(
        operands=operands,
        layer_operands=dict(layer_operands or {}),
        keep_float=tuple(keep_float),
        ranges=ranges,
        states=states,
        count_size=tuple(count_size) if isinstance(count_size, Sequence) else count_size,
        equalise=equalise,
        correct_bias=correct_bias,
    )
    check_settings(program, settings)
    recordings = read_recordings(program, calibration)
    return Converter(program, trace(program, recordings), settings).convert()

"""Golden steps: inputs, and the outputs that the desk computed for them; and the self-test that holds them as C."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ExportError
from firmware_export.generate import TEMPLATES, CModel
from firmware_export.literals import C_TYPES, float_literal, reader, table

Array: TypeAlias = NDArray[Any]

FLOAT_TOLERANCE = 1e-5  # of float outputs, absolute below 1 and relative above


class Golden(NamedTuple):
    """Steps from a fresh state.

    Attributes
    ----------
    inputs : mapping of str to ndarray (steps, ...)
        What the C function takes, by input name: sensor counts where the program quantizes counts, else float.
    outputs : mapping of str to ndarray (frames, ...)
        What it must give, by output name: integers in an int8 program.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(next(iter(self.inputs.values())))


def selftest(model: CModel, golden: Golden) -> str:
    """C text of ``selftest.c``.

    Raises
    ------
    ExportError
        The golden steps do not belong to the program.
    """
    program, window = model.program, model.program.window
    first, every = (window.steps - 1, window.hop) if window else (0, 1)
    frames = max(0, golden.steps - first + every - 1) // every
    buffers, tables, load, compare, arguments = [], [], [], [], []
    for port in program.inputs:
        dtype, local = model.step.input_dtype(port.name), model.step.inputs[port.name]
        array = _checked(golden.inputs, port.name, (golden.steps, port.size), dtype)
        buffers.append(f"static {C_TYPES[dtype]} selftest_{local}[{port.size}];")
        tables.append(table(f"golden_{local}", array, f"{golden.steps} steps of {local}"))
        source = f"{reader(dtype)}(golden_{local} + {port.size}u * step + k)"
        load.append(f"    for (k = 0; k < {port.size}; k++) selftest_{local}[k] = {source};")
        arguments.append(f"selftest_{local}")
    before = 0  # numbers of the outputs before this one
    for port in program.outputs:
        dtype, local = model.step.dtype(model.step.output_value(port.name)), model.step.outputs[port.name]
        array = _checked(golden.outputs, port.name, (frames, port.size), dtype)
        buffers.append(f"static {C_TYPES[dtype]} selftest_{local}[{port.size}];")
        tables.append(table(f"golden_{local}", array, f"{frames} frames of {local}"))
        compare += _compare(local, dtype, port.size, before)
        before += port.size
        arguments.append(f"selftest_{local}")
    values = {
        "prefix": model.prefix,
        "PREFIX": model.prefix.upper(),
        "file": model.file,
        "steps": golden.steps,
        "first": first,
        "every": every,
        "buffers": "\n".join(buffers),
        "tables": "\n\n".join(tables),
        "load": "\n".join(load),
        "compare": "\n".join(compare),
        "arguments": ", ".join(arguments),
    }
    return Template((TEMPLATES / "selftest.c").read_text()).substitute(values)


def _checked(arrays: Mapping[str, Array], name: str, shape: tuple[int, int], dtype: str) -> Array:
    if name not in arrays:
        raise ExportError(f"the golden steps have no {name}")
    array = np.asarray(arrays[name])
    if array.size != shape[0] * shape[1]:
        raise ExportError(f"golden {name} has shape {array.shape}, it must hold {shape[0]} times {shape[1]} numbers")
    converted = array.reshape(shape).astype(dtype)
    if dtype != "float32" and (converted != array.reshape(shape)).any():
        raise ExportError(f"golden {name} does not hold numbers of {dtype}")
    # a table has at least one element, even where no window is complete
    return converted if converted.size else np.zeros((1, shape[1]), dtype)


def _compare(local: str, dtype: str, size: int, before: int) -> list[str]:
    expected = f"{reader(dtype)}(golden_{local} + {size}u * output + k)"
    condition = f"selftest_{local}[k] != expected"
    if dtype == "float32":
        tolerance = float_literal(FLOAT_TOLERANCE)
        condition = f"!(selftest_{local}[k] <= expected + allowed && selftest_{local}[k] >= expected - allowed)"
        allowed = ["            const float size = expected < 0.0f ? -expected : expected;"]
        allowed += [f"            const float allowed = {tolerance} * (size > 1.0f ? size : 1.0f);"]
    return [
        f"        for (k = 0; k < {size}; k++) {{",
        f"            const {C_TYPES[dtype]} expected = {expected};",
        *(allowed if dtype == "float32" else []),
        f"            if ({condition}) return (int32_t)({before}u + k);",
        "        }",
    ]

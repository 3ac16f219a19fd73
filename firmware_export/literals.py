"""C literals that are read back exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ExportError

C_TYPES = {"float32": "float", "int8": "int8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t"}
# states alone: doubles have 32 bits on AVR, so two floats stand for one everywhere (templates/sum.h)
STATE_TYPES = C_TYPES | {"int64": "int64_t", "float64": "edgernn_sum"}
LINE = 116  # columns of a table


def float_literal(value: float) -> str:
    """A float32 as the shortest decimal that every C compiler reads back as the same float32.

    Raises
    ------
    ExportError
        The number is not finite.

    Examples
    --------
    >>> float_literal(0.1), float_literal(-3.0), float_literal(2.0**-149)
    ('0.1f', '-3.0f', '1e-45f')
    """
    number = np.float32(value)
    if not np.isfinite(number):
        raise ExportError(f"{value} is not a finite float32 and has no C literal")
    return f"{number!s}f"


def integer_literal(value: int) -> str:
    """An int32. The smallest one has no literal of its own type in C.

    Examples
    --------
    >>> integer_literal(-7), integer_literal(-(2**31))
    ('-7', '(-2147483647 - 1)')
    """
    if not -(1 << 31) <= value < 1 << 31:
        raise ExportError(f"{value} is not an int32")
    return "(-2147483647 - 1)" if value == -(1 << 31) else str(value)


def reader(dtype: str) -> str:
    """C function that reads an element of a table of this number type."""
    return f"edgernn_read_{'float' if dtype == 'float32' else dtype}"


def literals(array: NDArray[Any]) -> list[str]:
    """The elements of an array in row-major order."""
    flat = array.ravel()
    if array.dtype == np.float32:
        return [float_literal(value) for value in flat]
    return [integer_literal(int(value)) for value in flat]


def two_floats(array: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two float32 arrays whose sum is the array to 48 bits; what is too large becomes the largest float32.

    Examples
    --------
    >>> [part.tolist() for part in two_floats(np.array([2.0**30 + 1, -1e300]))]
    [[1073741824.0, -3.4028234663852886e+38], [1.0, 0.0]]
    """
    largest = float(np.finfo(np.float32).max)
    bounded = np.clip(array.astype(np.float64), -largest, largest)
    high = bounded.astype(np.float32)
    return high, (bounded - high).astype(np.float32)


def wrapped(words: Iterable[str], indent: str = "    ") -> str:
    """Words with commas between, in lines that are not too long."""
    lines, line = [], indent
    for word in words:
        if len(line) + len(word) + 2 > LINE and line.strip():
            lines.append(line.rstrip())
            line = indent
        line += word + ", "
    lines.append(line.rstrip())
    return "\n".join(lines)


def table(name: str, array: NDArray[Any], comment: str, *, attributes: Sequence[str] = ("EDGERNN_TABLE",)) -> str:
    """A constant array; `comment` must be safe already."""
    c_type = C_TYPES[str(array.dtype)]
    return (
        f"/* {comment} */\n"
        f"static const {c_type} {name}[{array.size}] {' '.join(attributes)} = {{\n{wrapped(literals(array))}\n}};"
    )

"""Loops over the elements of arrays that broadcast."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from edgernn.errors import ExportError
from edgernn.program.operations import Shape


class COperand(NamedTuple):
    """An array in an element-wise loop: the letter it has in the expression, and its shape."""

    letter: str
    shape: Shape


def _strides(shape: Shape, result: Shape) -> list[int]:
    """Elements between neighbours along each axis of the result; 0 where the array is repeated."""
    padded = (1,) * (len(result) - len(shape)) + shape
    return [0 if extent == 1 else prod(padded[axis + 1 :]) for axis, extent in enumerate(padded)]


def _merged(result: Shape, strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Axes and strides (operand, axis) with neighbouring axes made one wherever every array allows it."""
    extents: list[int] = []
    merged: list[list[int]] = [[] for _ in strides]
    for axis, extent in enumerate(result):
        if extent == 1:
            continue
        fits = bool(extents) and all(
            own[-1] == steps[axis] * extent for own, steps in zip(merged, strides, strict=True)
        )
        if fits:
            extents[-1] *= extent
        else:
            extents.append(extent)
        for own, steps in zip(merged, strides, strict=True):
            if fits:
                own[-1] = steps[axis]
            else:
                own.append(steps[axis])
    return extents, merged


def _index(steps: list[int]) -> str:
    terms = [f"i{axis}" if step == 1 else f"{step}u * i{axis}" for axis, step in enumerate(steps) if step]
    return " + ".join(terms) or "0"


def elementwise(result: Shape, operands: list[COperand], assignment: str) -> list[str]:
    """Loops that run `assignment` for each element of the result.

    In `assignment`, ``{y}`` is the index in the result and ``{letter}`` that in an operand.

    Examples
    --------
    >>> print("\\n".join(elementwise((2, 3), [Operand("a", (3,))], "y[{y}] = x[{a}];")))
    for (uint16_t i0 = 0; i0 < 2; i0++) {
        for (uint16_t i1 = 0; i1 < 3; i1++) {
            y[3u * i0 + i1] = x[i1];
        }
    }
    """
    strides = [_strides(result, result), *(_strides(operand.shape, result) for operand in operands)]
    extents, merged = _merged(result, strides)
    indices = {"y": _index(merged[0])}
    indices |= {operand.letter: _index(steps) for operand, steps in zip(operands, merged[1:], strict=True)}
    lines = [
        f"{'    ' * axis}for ({counter(extent)} i{axis} = 0; i{axis} < {extent}; i{axis}++) {{"
        for axis, extent in enumerate(extents)
    ]
    lines.append("    " * len(extents) + assignment.format(**indices))
    lines.extend("    " * axis + "}" for axis in reversed(range(len(extents))))
    return lines


def counter(extent: int) -> str:
    """C type that counts to `extent`."""
    return "uint16_t" if extent < 65536 else "uint32_t"


def count(number: int, what: str) -> str:
    """A number that a kernel takes in 16 bits.

    Raises
    ------
    ExportError
        It has more.
    """
    if not 0 <= number < 1 << 16:
        raise ExportError(f"{what} is {number}, in C at most 65535")
    return str(number)


def rows(shape: Shape, call: Callable[[Callable[[int], str]], str]) -> list[str]:
    """A call for each row of an array whose last axis is one row.

    `call` gets a function that gives the offset of the row in an array whose rows have so many elements.
    """
    count = prod(shape[:-1])
    if count == 1:
        return [call(lambda size: "")]
    line = call(lambda size: f" + {size}u * row")
    return [f"for ({counter(count)} row = 0; row < {count}; row++) {{", "    " + line, "}"]


def copy(count: int, to: str, source: str) -> list[str]:
    """Lines that copy `count` elements."""
    return elementwise((count,), [], f"({to})[{{y}}] = ({source})[{{y}}];")

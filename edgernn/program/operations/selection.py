"""Choices: between values, of the largest numbers and where they are."""

from __future__ import annotations

from typing import ClassVar

from edgernn.program.operations.base import Operation, Value, Weights
from edgernn.program.operations.declaration import Operand, Operands, Sizes


class Where(Operation, frozen=True, kw_only=True):
    """``y = a where condition is not 0, else b``, for each element of three values of one shape. Source: ONNX Where."""

    input_ports: ClassVar[Operands] = (Operand("condition"), Operand("a"), Operand("b"))
    output_ports: ClassVar[Operands] = (Operand("y"),)


class ArgMax(Operation, frozen=True, kw_only=True):
    """Index of the largest number along the last axis, the first of equal ones, as int32. Source: ONNX ArgMax."""

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "size"), dtype=None),)
    output_ports: ClassVar[Operands] = (Operand("indices", ("*indices",), "int32"),)

    last: bool = False  # the last of equal ones: ONNX's select_last_index
    smallest: bool = False  # ArgMin

    def sizes(self, inputs: tuple[Value, ...], weights: Weights) -> Sizes:
        sizes = super().sizes(inputs, weights)
        sizes.set(indices=inputs[0].shape[:-1] or (1,))
        return sizes


class TopK(Operation, frozen=True, kw_only=True):
    """The k largest (or smallest) numbers of the last axis in order, and their indices as int32. Source: ONNX TopK."""

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "size"), dtype=None),)
    output_ports: ClassVar[Operands] = (
        Operand("y", ("*rows", "k"), dtype=None),
        Operand("indices", ("*rows", "k"), "int32"),
    )

    k: int
    largest: bool = True

    def check(self, inputs: tuple[Value, ...], weights: Weights, sizes: Sizes) -> None:
        if not 1 <= self.k <= sizes["size"]:
            raise self.malformed(f"k is {self.k}, the input's shape {inputs[0].shape}")

"""Matrix products: of weights with a vector, of weights with each group of a vector, of two values."""

from __future__ import annotations

from typing import Annotated, ClassVar

from edgernn.program.operations.base import Operation, Value, Weights
from edgernn.program.operations.declaration import Attribute, Operand, Operands, Weight


class Dense(Operation, frozen=True, kw_only=True):
    """``y = x @ W.T + B`` over the last axis; every other axis is a row of its own.

    W is (outputs, inputs), B is (outputs,) or absent. Source: ONNX Gemm and MatMul.
    """

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "input_size")),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*rows", "output_size")),)

    W: Annotated[str, Weight(("output_size", "input_size"))]
    B: Annotated[str | None, Weight(("output_size",))] = None

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return inputs[0].size * int(weights[self.W].shape[0])


class GroupedDense(Operation, frozen=True, kw_only=True):
    """A matrix product for each of many groups, side by side: ``y[o, g] = sum_i W[o, i, g] * x[i, g] + B[o, g]``.

    x is (..., inputs, groups), y (..., outputs, groups). Groups are the last axis, so that they lie beside each other
    in a register: with one output each it is a depthwise convolution. Source: ONNX Conv with group above 1.
    """

    input_ports: ClassVar[Operands] = (Operand("x", ("*rows", "input_size", "groups")),)
    output_ports: ClassVar[Operands] = (Operand("y", ("*rows", "output_size", "groups")),)

    W: Annotated[str, Weight(("output_size", "input_size", "groups"))]
    B: Annotated[str | None, Weight(("output_size", "groups"))] = None

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return inputs[0].size * int(weights[self.W].shape[0])


class MatMul(Operation, frozen=True, kw_only=True):
    """``y = a @ b``, or ``a @ b.T`` of the last two axes of b where `transposed`: a product of two values.

    a is (..., n, k) and b (..., k, m) or, transposed, (..., m, k), with the same axes in front. Source: ONNX MatMul.
    """

    input_ports: ClassVar[Operands] = (Operand("a", ("*matrices", "n", "k")), Operand("b", Attribute("b_shape")))
    output_ports: ClassVar[Operands] = (Operand("y", ("*matrices", "n", "m")),)

    transposed: bool = False

    @property
    def b_shape(self) -> tuple[str, ...]:
        """Axes of b."""
        return ("*matrices", "m", "k") if self.transposed else ("*matrices", "k", "m")

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        b = inputs[1].shape
        return inputs[0].size * b[-2 if self.transposed else -1]

"""Matrix products: of weights with a vector, of weights with each group of a vector, of two values."""

from __future__ import annotations

from typing import ClassVar

from edgernn.program.operations.base import Operation, Value, Weights


class Dense(Operation, frozen=True, kw_only=True):
    """``y = x @ W.T + B`` over the last axis; every other axis is a row of its own.

    W is (outputs, inputs), B is (outputs,) or absent. Source: ONNX Gemm and MatMul.
    """

    weight_fields: ClassVar[tuple[str, ...]] = ("W", "B")

    W: str
    B: str | None = None

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        W = self.weight(weights, self.W, 2)
        if self.B is not None:
            self.expect_shape(self.weight(weights, self.B, 1), self.B, W.shape[:1])
        (x,) = inputs
        if not x.shape or x.shape[-1] != W.shape[1]:
            raise self.malformed(
                f"input {self.inputs[0]} has shape {x.shape}, W of shape {W.shape} needs {W.shape[1]} features"
            )
        return (Value((*x.shape[:-1], W.shape[0])),)

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return inputs[0].size * int(weights[self.W].shape[0])


class GroupedDense(Operation, frozen=True, kw_only=True):
    """A matrix product for each of many groups, side by side: ``y[o, g] = sum_i W[o, i, g] * x[i, g] + B[o, g]``.

    x is (..., inputs, groups), y (..., outputs, groups). Groups are the last axis, so that they lie beside each other
    in a register: with one output each it is a depthwise convolution. Source: ONNX Conv with group above 1.
    """

    weight_fields: ClassVar[tuple[str, ...]] = ("W", "B")

    W: str
    B: str | None = None

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=1, outputs=1)
        W = self.weight(weights, self.W, 3)
        if not W.size:
            raise self.malformed(f"weight {self.W} of shape {W.shape} is empty")
        if self.B is not None:
            self.expect_shape(self.weight(weights, self.B, 2), self.B, (W.shape[0], W.shape[2]))
        shape = inputs[0].shape
        if len(shape) < 2 or shape[-2:] != W.shape[1:]:
            raise self.malformed(f"input {self.inputs[0]} has shape {shape}, W of shape {W.shape} needs {W.shape[1:]}")
        return (Value((*shape[:-2], W.shape[0], W.shape[2])),)

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        return inputs[0].size * int(weights[self.W].shape[0])


class MatMul(Operation, frozen=True, kw_only=True):
    """``y = a @ b``, or ``a @ b.T`` of the last two axes of b where `transposed`: a product of two values.

    a is (..., n, k) and b (..., k, m) or, transposed, (..., m, k), with the same axes in front. Source: ONNX MatMul.
    """

    transposed: bool = False

    def infer(self, inputs: tuple[Value, ...], weights: Weights) -> tuple[Value, ...]:
        self.expect_counts(inputs=2, outputs=1)
        a, b = (value.shape for value in inputs)
        if len(a) < 2 or len(b) != len(a) or a[:-2] != b[:-2] or a[-1] != b[-1 if self.transposed else -2]:
            raise self.malformed(f"shapes {a} and {b} do not fit{', transposed' if self.transposed else ''}")
        return (Value((*a[:-1], b[-2 if self.transposed else -1])),)

    def multiply_accumulates(self, inputs: tuple[Value, ...], weights: Weights) -> int:
        b = inputs[1].shape
        return inputs[0].size * b[-2 if self.transposed else -1]

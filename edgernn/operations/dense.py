"""Matrix times vector plus bias."""

from __future__ import annotations

from typing import ClassVar

from edgernn.operations.base import Operation, Value, Weights


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

"""Recognises what exporters write as several operators and a step has as one: so a graph and its optimised form agree.

The last operation of a pattern is replaced in its place; what nobody reads any more is left out by pruning.py. Found
are activations (Gelu by erf and by tanh, HardSwish), the logarithm of a softmax, normalisations (written_norms.py), and
the same operation done twice.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from math import isclose, pi, sqrt
from typing import Any, TypeAlias

import msgspec
from numpy.typing import NDArray

from edgernn.importers.onnx.fusions.norms import NormFinder
from edgernn.program.operations import AnyOperation, Binary, Softmax, Unary
from edgernn.program.program import Program
from edgernn.program.trees import rewritten

Weights: TypeAlias = MutableMapping[str, NDArray[Any]]
CLOSE = 1e-4  # how far constants of a pattern may be off, relative: exporters round them


def fuse_composites(program: Program) -> Program:
    """The program with patterns replaced, each by one operation in place of its last."""
    weights = dict(program.weights)
    finder = _Finder(weights, program)
    operations = rewritten(program.description.operations, lambda operation: (finder.seen(operation),))
    return program.with_operations(operations, weights)


class _Finder:
    """Looks at operations in their order, and replaces the ends of patterns."""

    def __init__(self, weights: Weights, program: Program) -> None:
        self.weights, self.values = weights, program.values
        self.writers: dict[str, AnyOperation] = {}
        self.norms = NormFinder(weights, program.values, program.graph, self.writers)

    def seen(self, operation: AnyOperation) -> AnyOperation:
        """The operation, or what stands for it and those before."""
        found: AnyOperation | None = self.norms.seen(operation)
        if isinstance(operation, Binary):
            found = found or self._activation(operation)
        elif isinstance(operation, Unary):
            found = found or self._log_softmax(operation)
        operation = found or operation
        self.writers.update(dict.fromkeys(operation.outputs, operation))
        return operation

    # what values are made of

    def _number(self, operation: Binary) -> float | None:
        """The constant of an operation, if it is one number."""
        constant = None if operation.constant is None else self.weights[operation.constant]
        return None if constant is None or constant.size != 1 else float(constant.ravel()[0])

    def _unary(self, name: str, function: str) -> str | None:
        """What a function was taken of."""
        writer = self.writers.get(name)
        return writer.inputs[0] if isinstance(writer, Unary) and writer.function == function else None

    def _plus(self, name: str) -> tuple[str, float] | None:
        """A value and the number that was added to it."""
        writer = self.writers.get(name)
        if isinstance(writer, Binary) and writer.function == "Add" and (number := self._number(writer)) is not None:
            return writer.inputs[0], number
        return None

    def _factors(self, name: str, stop: str = "") -> tuple[float, list[str]]:
        """A value as a number times other values; `stop` is not taken apart."""
        writer = self.writers.get(name)
        return (1.0, [name]) if name == stop or not isinstance(writer, Binary) else self._of(writer, stop)

    def _of(self, operation: Binary, stop: str = "") -> tuple[float, list[str]]:
        number = self._number(operation)
        if operation.function == "Mul" and operation.constant is None:
            parts = [self._factors(name, stop) for name in operation.inputs]
            return parts[0][0] * parts[1][0], parts[0][1] + parts[1][1]
        if (number is not None and operation.constant_side == "right") or (operation.function == "Mul" and number):
            assert number is not None
            scale, leaves = self._factors(operation.inputs[0], stop)
            if operation.function == "Mul":
                return scale * number, leaves
            if operation.function == "Div" and number:
                return scale / number, leaves
            if operation.function == "Pow" and number in (2.0, 3.0):
                return scale ** int(number), leaves * int(number)
        return 1.0, [operation.outputs[0]]

    # patterns

    def _activation(self, operation: Binary) -> Unary | None:
        """A product of x and something of x."""
        if operation.function not in ("Mul", "Div"):
            return None
        scale, leaves = self._of(operation)
        if len(leaves) != 2:
            return None
        for x, gate in (leaves, leaves[::-1]):
            function = self._gate(x, gate, scale)
            if function is not None and self.values[x].shape == self.values[operation.outputs[0]].shape:
                return Unary(
                    name=operation.name,
                    inputs=(x,),
                    outputs=operation.outputs,
                    sources=operation.sources,
                    when=operation.when,
                    function=function,
                )
        return None

    def _gate(self, x: str, gate: str, scale: float) -> str | None:
        """The activation that ``scale * x * gate`` is."""
        writer = self.writers.get(gate)
        if isinstance(writer, Unary) and writer.function == "HardSigmoid" and writer.inputs[0] == x:
            is_hard_swish = _near(scale, 1) and _near(writer.alpha or 0, 1 / 6) and _near(writer.beta or 0, 0.5)
            return "HardSwish" if is_hard_swish else None
        shifted = self._plus(gate)
        if shifted is None or not _near(scale, 0.5) or not _near(shifted[1], 1):
            return None
        inner = self._unary(shifted[0], "Erf")
        if inner is not None:
            slope, leaves = self._factors(inner, x)
            return "Gelu" if leaves == [x] and _near(slope, sqrt(0.5)) else None
        inner = self._unary(shifted[0], "Tanh")
        return "GeluTanh" if inner is not None and self._is_cubic(inner, x) else None

    def _is_cubic(self, name: str, x: str) -> bool:
        """Whether a value is ``sqrt(2 / pi) * (x + 0.044715 * x^3)``."""
        scale, leaves = self._factors(name)
        total = self.writers.get(leaves[0])
        if len(leaves) != 1 or not isinstance(total, Binary) or total.function != "Add" or total.constant is not None:
            return False
        parts = sorted((self._factors(part, x) for part in total.inputs), key=lambda part: len(part[1]))
        wanted = ((1.0, [x]), (0.044715, [x, x, x]))
        return _near(scale, sqrt(2 / pi)) and all(
            leaves == other and _near(number, value)
            for (number, leaves), (value, other) in zip(parts, wanted, strict=True)
        )

    def _log_softmax(self, operation: Unary) -> Softmax | None:
        """The logarithm of a softmax, without the numbers that a softmax loses."""
        softmax = self.writers.get(operation.inputs[0])
        if operation.function != "Log" or not isinstance(softmax, Softmax) or softmax.logarithm:
            return None
        return msgspec.structs.replace(
            softmax,
            name=operation.name,
            outputs=operation.outputs,
            sources=(*softmax.sources, *operation.sources),
            when=operation.when,
            logarithm=True,
        )


def _near(number: float, wanted: float) -> bool:
    return isclose(number, wanted, rel_tol=CLOSE)

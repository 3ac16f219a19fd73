"""Recognises what exporters write as several operators and a step has as one: so a graph and its optimised form agree.

The last operation of a pattern is replaced in its place; what nobody reads any more is left out by
`dead_code`. Found are activations (Gelu by erf and by tanh, HardSwish), the logarithm of a softmax, normalisations.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from math import pi, sqrt
from typing import Any, TypeAlias

import msgspec
from numpy.typing import NDArray

from edgernn.importers.onnx.fusions.log import MIN_MATCHED, FusionLog
from edgernn.importers.onnx.fusions.norms import NormFinder
from edgernn.importers.onnx.fusions.patterns import FunctionPattern, Matcher, Miss, ValuePattern
from edgernn.program.operations import AnyOperation, Binary, Softmax, Unary
from edgernn.program.program import Program
from edgernn.program.trees import rewritten

Weights: TypeAlias = MutableMapping[str, NDArray[Any]]


x = ValuePattern("x")
ACTIVATIONS = {
    "Gelu": 0.5 * x * (1.0 + FunctionPattern("Erf", sqrt(0.5) * x)),
    "GeluTanh": 0.5 * x * (1.0 + FunctionPattern("Tanh", sqrt(2 / pi) * (x + 0.044715 * x * x * x))),
    "HardSwish": x * FunctionPattern("HardSigmoid", x, 1 / 6, 0.5),
}


def fuse_composites(program: Program, log: FusionLog) -> Program:
    """The program with known forms replaced, each by one operation in place of its last."""
    weights = dict(program.weights)
    finder = _Finder(weights, program, log)
    operations = rewritten(program.description.operations, lambda operation: (finder.seen(operation),))
    finder.report()
    return program.with_operations(operations, weights)


class _Finder:
    """Looks at operations in their order, and replaces the ends of known forms."""

    def __init__(self, weights: Weights, program: Program, log: FusionLog) -> None:
        self.values, self.log = program.values, log
        self.writers: dict[str, AnyOperation] = {}
        self.matcher = Matcher(weights, program.values, self.writers)
        self.norms = NormFinder(weights, program.graph, self.matcher, log)
        self._near: dict[str, tuple[str, Binary, str]] = {}  # by value, what is nearly an activation, and why not

    def seen(self, operation: AnyOperation) -> AnyOperation:
        """The operation, or what stands for it and those before."""
        self.writers.update(dict.fromkeys(operation.outputs, operation))
        found: AnyOperation | None = self.norms.seen(operation)
        if isinstance(operation, Binary):
            found = found or self._activation(operation)
        elif isinstance(operation, Unary):
            found = found or self._log_softmax(operation)
        operation = found or operation
        self.writers.update(dict.fromkeys(operation.outputs, operation))
        return operation

    def _activation(self, operation: Binary) -> Unary | None:
        """A product of x and something of x."""
        if operation.function not in ("Mul", "Div"):
            return None
        output = operation.outputs[0]
        nearest = "", Miss("", "", MIN_MATCHED)
        for function, pattern in ACTIVATIONS.items():
            found = self.matcher.match(pattern, output)
            if found is not None and self.values[found.values["x"]].shape == self.values[output].shape:
                activation = Unary(
                    name=operation.name,
                    inputs=(found.values["x"],),
                    outputs=operation.outputs,
                    sources=operation.sources,
                    when=operation.when,
                    function=function,
                )
                self.log.fuse(function, activation)
                self._forget_parts(operation)
                return activation
            miss = self.matcher.miss
            if miss is not None and miss.matched > nearest[1].matched:
                nearest = function, miss
        if nearest[0]:
            self._forget_parts(operation)
            self._near[output] = nearest[0], operation, nearest[1].reason
        return None

    def _forget_parts(self, operation: Binary) -> None:
        """A product that goes on is no miss by itself."""
        for name in operation.inputs:
            self._near.pop(name, None)

    def report(self) -> None:
        """Log what nearly was a known form."""
        self.norms.report()
        for pattern, operation, reason in self._near.values():
            self.log.miss(pattern, operation, reason)

    def _log_softmax(self, operation: Unary) -> Softmax | None:
        """The logarithm of a softmax, without the numbers that a softmax loses."""
        softmax = self.writers.get(operation.inputs[0])
        if operation.function != "Log" or not isinstance(softmax, Softmax) or softmax.logarithm:
            return None
        logarithm = msgspec.structs.replace(
            softmax,
            name=operation.name,
            outputs=operation.outputs,
            sources=(*softmax.sources, *operation.sources),
            when=operation.when,
            logarithm=True,
        )
        self.log.fuse("LogSoftmax", logarithm)
        return logarithm

"""The tensors that nodes can see, and each node's rule applied in turn: for the graph, and for graphs inside of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from edgernn.errors import ModelError, UnsupportedModelError
from edgernn.importers.onnx.constant_folding import fold_constants
from edgernn.importers.onnx.constants import CONSTANT_FOLDING, tidied
from edgernn.importers.onnx.graph.graph import Body, Graph
from edgernn.importers.onnx.graph.node import Node
from edgernn.importers.onnx.rules import RULES, TAKES_CONSTANTS, TAKES_TIME_CONSTANTS, Call, advice
from edgernn.importers.onnx.rules.attention_ring import of_pairs
from edgernn.importers.onnx.rules.call import Iterations, Options, Results
from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.time_constants import as_frames, has_frames_beside, is_time_constant
from edgernn.importers.onnx.streams.timing import NeedsWindowError
from edgernn.importers.onnx.streams.values import Constant, Role, Signal, Tensor, TimePairs, has_role

MAX_DEPTH = 16  # of graphs inside of graphs


class Scope:
    """Tensors by name, those of the scope around it included.

    Parameters
    ----------
    graph : Graph
    builder : ProgramBuilder
    options : Options
    tensors : mapping of str to Tensor
        What is known from the beginning: inputs.
    initializer : callable
        The numbers of an initializer by its name, None where there is none.
    """

    def __init__(
        self,
        graph: Graph,
        builder: ProgramBuilder,
        options: Options,
        tensors: Mapping[str, Tensor],
        initializer: Callable[[str], NDArray[Any] | None],
        parent: Scope | None = None,
        iterations: Iterations | None = None,
    ) -> None:
        self._graph, self._builder, self._options = graph, builder, options
        self._tensors = dict(tensors)
        self._initializer = initializer
        self._parent, self._iterations = parent, iterations
        self._depth: int = 0 if parent is None else parent._depth + 1

    def find(self, name: str) -> Tensor | None:
        """The tensor of that name, None where it does not exist."""
        if name not in self._tensors:
            array = self._initializer(name)
            if array is None:
                return None if self._parent is None else self._parent.find(name)
            self._tensors[name] = Constant.of(array, name)
        return self._tensors[name]

    def read(self, name: str) -> Tensor:
        """The tensor of that name.

        Raises
        ------
        UnsupportedModelError
            It is an output that the rule of its node does not give.
        """
        tensor = self.find(name)
        if tensor is None:
            raise UnsupportedModelError(f"tensor {name} is an optional output that is not supported")
        return tensor

    def apply(self, nodes: Iterable[Node]) -> None:
        """Each node's rule, in order."""
        for node in nodes:
            self._apply(node)

    def run(
        self, body: Body, bound: Mapping[str, Tensor], outputs: Collection[str], iterations: Iterations | None
    ) -> Callable[[str], Tensor]:
        """Follow a graph inside of a node as far as `outputs` need it; returns what reads its tensors."""
        if self._depth >= MAX_DEPTH:
            raise UnsupportedModelError(f"the model has graphs inside of graphs, more than {MAX_DEPTH} deep")
        inner = Scope(self._graph, self._builder, self._options, bound, body.initializer, self, iterations)
        source = self._builder.source
        inner.apply(body.needed(outputs))
        self._builder.source = source
        return inner.read

    def _apply(self, node: Node) -> None:
        inputs = tuple(self.read(name) if name else None for name in node.inputs)
        self._builder.source = node.name
        try:
            results = self._results(node, self._guarded(node, inputs))
            _check_frames_apart(node, results)
        except ModelError:
            raise
        except (ValueError, TypeError, IndexError, ArithmeticError, MemoryError) as error:
            raise node.malformed(f"does not fit what it reads: {error}") from error
        except (AssertionError, LookupError, AttributeError, RecursionError, NotImplementedError) as error:
            raise node.unsupported(
                f"cannot be followed by edgernn here ({type(error).__name__}: {error}): leave it out of the exported "
                "part, or write it with other operators"
            ) from error
        if node.unread_attributes:
            raise node.unsupported(f"has the attribute {node.unread_attributes[0]}, which is not supported")
        self._tensors.update(
            (name, tidied(result)) for name, result in zip(node.outputs, results, strict=False) if name
        )

    def _guarded(self, node: Node, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        """The inputs of a rule: a constant along time as frames, unless the rule has declared that it takes such.

        A rule that takes each frame by itself reads the constant as a weight where frames of that length lie beside it,
        or where nothing varies at all; else it too is given frames.
        """
        takes = node.qualified_operator in TAKES_TIME_CONSTANTS
        varies = any(isinstance(tensor, Signal) for tensor in inputs)
        return tuple(
            as_frames(self._builder, tensor)
            if isinstance(tensor, Constant)
            and is_time_constant(tensor)
            and not (takes and (not varies or has_frames_beside(tensor, inputs)))
            else tensor
            for tensor in inputs
        )

    def _results(self, node: Node, inputs: tuple[Tensor | None, ...]) -> Results:
        operator = node.qualified_operator
        if node.domain and operator not in RULES:
            raise node.unsupported(
                f"is of the operator set {node.domain}, which is not supported: {advice(node.operator, node.domain)}"
            )
        constants = [tensor for tensor in inputs if isinstance(tensor, Constant)]
        if len(constants) == len(inputs) and operator in CONSTANT_FOLDING:
            return (CONSTANT_FOLDING[operator](node, *constants),)
        if operator not in RULES:
            raise node.unsupported(f"is not supported: {advice(operator)}")
        if any(isinstance(tensor, TimePairs) for tensor in inputs):
            return of_pairs(self._call(node, inputs, self._builder))
        if inputs and len(constants) == len(inputs) and operator not in TAKES_CONSTANTS:
            return fold_constants(inputs, lambda builder, streams: RULES[operator](self._call(node, streams, builder)))
        return RULES[operator](self._call(node, inputs, self._builder))

    def _call(self, node: Node, inputs: tuple[Tensor | None, ...], builder: ProgramBuilder) -> Call:
        return Call(node, inputs, builder, self._graph, self._options, self, self._iterations)


def _check_frames_apart(node: Node, results: Results) -> None:
    """Refuse what has a number for each two frames; only the rules of attention follow such (TimePairs)."""
    for tensor in results:
        times = sum(has_role(axis, Role.TIME) for axis in tensor.axes)
        if times > 1 and isinstance(tensor, Signal) and not isinstance(tensor, TimePairs):
            raise NeedsWindowError(f"{node!r} combines each frame with every other")

"""What a rule is given: the node, what is known of its inputs, and the program under construction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from edgernn.importers.onnx.graph.graph import Body, Graph
from edgernn.importers.onnx.graph.node import Node
from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.dimension import Dimension, Extent
from edgernn.importers.onnx.streams.sequence import materialize_padding
from edgernn.importers.onnx.streams.values import Constant, Signal, Tensor

Results: TypeAlias = tuple[Tensor, ...]  # the outputs of a node, in order


@dataclass(frozen=True)
class Options:
    """What rules need to know beside the graph.

    Attributes
    ----------
    assume_torch_gru : bool
        As in `edgernn.load`.
    attention_steps : int or None
        As in `edgernn.load`.
    inner_sequences : bool
        Recurrences may run over the features of a frame. While the axis of time is being looked for, that speaks
        against an axis.
    is_sure : bool
        The axis of time is the likeliest, or said. Of an unlikely one, frames at positions in a frozen length are more
        likely features.
    any_length : bool
        A frozen length stands for a free one. Where it does not, numbers that count the frames are weights along time,
        unless a running sum is divided by them.
    is_window : bool
        The frames of a window are features: the graph is computed on them as a whole.
    """

    assume_torch_gru: bool = False
    attention_steps: int | None = None
    inner_sequences: bool = False
    is_sure: bool = False
    any_length: bool = False
    is_window: bool = False


class GraphScope(Protocol):
    """The tensors that a node can see."""

    def find(self, name: str) -> Tensor | None:
        """The tensor of that name."""

    def run(
        self, body: Body, bound: Mapping[str, Tensor], outputs: Collection[str], iterations: Iterations | None
    ) -> Callable[[str], Tensor]:
        """Follow a graph inside of a node."""


@dataclass(frozen=True)
class Iterations:
    """The loop whose body is followed: `count` iterations, over time unless a Repeat called `repeat` runs them."""

    count: Extent
    repeat: str | None


@dataclass(frozen=True)
class Call:
    """One application of a rule. `inputs` has None where an optional input is left out."""

    node: Node
    inputs: tuple[Tensor | None, ...]
    builder: ProgramBuilder
    graph: Graph
    options: Options
    scope: GraphScope
    iterations: Iterations | None = None

    def body(self, name: str) -> Body:
        """A graph inside of the node."""
        return Body(self.node, name)

    def outer(self, name: str) -> Tensor | None:
        """A tensor that the node, or a graph inside of it, reads by name; None where it does not exist."""
        return self.scope.find(name)

    def run_body(
        self,
        body: Body,
        bound: Mapping[str, Tensor],
        outputs: Collection[str] | None = None,
        iterations: Iterations | None = None,
    ) -> Callable[[str], Tensor]:
        """Follow the nodes of a graph inside of the node, with its inputs bound; returns what reads its tensors.

        `outputs` are those that are needed, None for all.
        """
        return self.scope.run(body, bound, body.outputs if outputs is None else outputs, iterations or self.iterations)

    @property
    def output(self) -> str:
        """Name of the first output."""
        return str(self.node.outputs[0])

    def renamed(self, output: str, operator: str = "") -> Call:
        """The same application with another name for its output, or as another operator."""
        return replace(self, node=self.node.rewritten(operator or self.node.operator, (output,)))

    def inner(self, part: str) -> str:
        """A name for a value between the operations that a node becomes."""
        return self.builder.unique(f"{self.output}:{part}")

    def has(self, index: int) -> bool:
        """Whether an optional input is connected."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def tensor(self, index: int) -> Tensor:
        """An input, whatever it is."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise self.node.malformed(f"lacks its input {index + 1}")
        return tensor

    def stream(self, index: int) -> Signal:
        """An input that varies from step to step, its padding made frames."""
        return materialize_padding(self.builder, self.sequence(index))

    def sequence(self, index: int) -> Signal:
        """An input that varies from step to step, as it is."""
        tensor = self.tensor(index)
        if not isinstance(tensor, Signal):
            raise self.node.unsupported(
                f"has a constant as input {index + 1}, where it must vary in time: fold constants before the export"
            )
        return tensor

    def constant(self, index: int, what: str) -> Constant:
        """An input that is the same in each step; `what` is the ONNX name of the input."""
        tensor = self.tensor(index)
        if not isinstance(tensor, Constant):
            raise self.node.unsupported(
                f"computes its {what} from the model's inputs, it must be constant: export it as an initializer"
            )
        return tensor

    def array(self, index: int, what: str) -> NDArray[Any]:
        """The numbers of a constant input."""
        elements = self.constant(index, what).elements
        if elements.dtype == object:
            raise self.node.unsupported(
                f"has {what} that depend on the length of the sequence: export the model with a frozen length"
            )
        return elements

    def extents(self, index: int, what: str) -> list[Extent]:
        """A constant vector, or single number, of positions or extents."""
        elements = self.constant(index, what).elements
        if elements.ndim > 1 or elements.dtype.kind not in "iuO":
            raise self.node.malformed(f"has {what} that are no vector of integers")
        return [entry if isinstance(entry, Dimension) else int(entry) for entry in elements.ravel()]

    def integers(self, index: int, what: str) -> list[int]:
        """A constant vector, or single number, of integers."""
        plain = []
        for entry in self.extents(index, what):
            if not isinstance(entry, int):
                raise self.node.unsupported(f"has {what} that depend on the length of the sequence")
            plain.append(entry)
        return plain

    def axes(self, index: int) -> list[int] | None:
        """The axes that newer operator sets give as an input and older ones as an attribute; None where absent."""
        if self.has(index):
            return self.integers(index, "axes")
        return self.node.integers("axes")

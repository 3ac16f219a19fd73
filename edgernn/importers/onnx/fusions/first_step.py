"""A first step that an exporter has shortened, because it begins from zeros: found by what it computes.

Keras leaves out the product with an initial state of zeros. The first step then has other nodes than those behind it,
so they are compared by their numbers: with states of zeros, a later step must give what the first gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgernn.errors import ModelError
from edgernn.importers.onnx.fusions.unrolled_steps import MIN_STEPS, Steps, equal_steps
from edgernn.importers.onnx.graph.graph import Graph
from edgernn.importers.onnx.graph.node import Node
from edgernn.importers.onnx.rules.call import Options
from edgernn.importers.onnx.scope import Scope
from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.values import Constant

Array = NDArray[Any]
PROBES = 3
TOLERANCE = 1e-5
# operators that may stand between a state and what the next step reads of it
BEFORE_NEXT = {"Add", "Gemm", "Identity", "MatMul", "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze"}


def steps_after_zeros(graph: Graph, groups: Sequence[Sequence[Node]], frames: Sequence[str]) -> Steps | None:
    """Steps of which the first gives what the others would give of zeros; None where that is not so."""
    later = equal_steps(groups[1:], frames[1:]) if len(frames) > MIN_STEPS else None
    if later is None or any(node.captured for node in groups[0]):
        return None
    try:
        return _First(graph, groups, frames, later).steps()
    except (ModelError, ValueError):
        return None  # something that is no plain arithmetic


class _First:
    """The first step beside one of the later ones, at some frames."""

    def __init__(self, graph: Graph, groups: Sequence[Sequence[Node]], frames: Sequence[str], later: Steps) -> None:
        self.graph, self.groups, self.frames, self.later = graph, groups, frames, later
        self.own = {name: node for node in later.body for name in node.outputs}
        self.begun: dict[str, str] = {}  # tensors of the body, and those that stand for them before the first step

    def steps(self) -> Steps | None:
        """All steps, the first among them."""
        inputs = self._inputs()
        if inputs is None:
            return None
        x = np.random.default_rng(0).uniform(-1, 1, (2, PROBES, inputs)).astype(np.float32)
        self.seen = self._computed((*self.groups[0], *self.groups[1]), dict(zip(self.frames, x, strict=False)))
        begins = {name: self._of_zeros(name) for name in self.later.initial}
        old = {name: begins[new] for name, new in self.later.before.items()}
        found = self._computed(self.later.body, {self.frames[2]: x[0], **old})
        names = {name: self._name_of(node, name, found[name]) for name, node in self.own.items()}
        names.update(self.later.initial)
        if not all(self._agree(found[name], self.seen[first]) for name, first in self.later.initial.items()):
            return None
        first = {name: here for name, here in names.items() if here is not None}
        return replace(
            self.later,
            names=(first, *self.later.names),
            initial={name: self._begun(name) for name in self.later.initial},
            place=self.later.place + 1,
            shortened=tuple(self.groups[0]),
        )

    def _inputs(self) -> int | None:
        """How many numbers a frame has, by the first weights that it meets."""
        for node in self.groups[0]:
            if node.operator in ("MatMul", "Gemm") and node.inputs[0] == self.frames[0]:
                W = self.graph.constant(node.inputs[1])
                if W is not None and W.ndim == 2:
                    return int(W.shape[node.integer("transB", 0)])
        return None

    def _computed(self, nodes: Iterable[Node], given: Mapping[str, Array]) -> dict[str, Array]:
        """What nodes make of given tensors."""
        tensors = {name: Constant.of(array) for name, array in given.items()}
        scope = Scope(self.graph, ProgramBuilder(False, frozenset(), ()), Options(), tensors, self.graph.constant)
        listed = list(nodes)
        scope.apply(listed)
        return {name: scope.read(name).elements for node in listed for name in filter(None, node.outputs)}

    def _read_for(self, name: str) -> str | None:
        """The tensor of the body that a tensor for the next step is made of; None where it is a state itself."""
        node = self.own[name]
        inner = [entry for entry in node.inputs if entry in self.own]
        return inner[0] if node.operator in BEFORE_NEXT and len(inner) == 1 else None

    def _of_zeros(self, name: str) -> Array:
        """A tensor that the next step reads, where the state that it is made of is zero."""
        source = self._read_for(name)
        if source is None:
            return np.zeros_like(self.seen[self.later.names[0][name]])
        return self._computed([self.own[name]], {source: self._of_zeros(source)})[name]

    def _begun(self, name: str) -> str:
        """The same in the graph: zeros, and the nodes that make the tensor of them, put in front of the first step."""
        if name in self.begun:
            return self.begun[name]
        source = self._read_for(name)
        if source is None:
            zeros = np.zeros_like(self.seen[self.later.names[0][name]][:1])
            self.begun[name] = self.graph.add_constant(self.graph.unique(f"{name}:zeros"), zeros)
            return self.begun[name]
        node = self.own[name].reading({source: self._begun(source)})
        outputs = {output: self.graph.unique(f"{output}:begun") for output in node.outputs}
        node.outputs = tuple(outputs.values())
        node.proto.output[:] = node.outputs
        self.graph.nodes = (node, *self.graph.nodes)
        self.begun |= outputs
        return self.begun[name]

    def _name_of(self, node: Node, name: str, array: Array) -> str | None:
        """What the first step calls a tensor: by what it holds, of nodes like that one first."""
        place = node.outputs.index(name)
        alike = [other.outputs[place] for other in self.groups[0] if other.fingerprint == node.fingerprint]
        rest = [output for other in self.groups[0] for output in filter(None, other.outputs)]
        return next((entry for entry in (*alike, *rest) if self._agree(self.seen[entry], array)), None)

    def _agree(self, a: Array, b: Array) -> bool:
        return a.shape == b.shape and bool(np.abs(a - b).max(initial=0.0) <= TOLERANCE * max(1.0, np.abs(b).max()))

"""A recurrence that is written out step by step, for one length, is rolled up again: it becomes a Scan.

nn.RNN comes like that from PyTorch's newer exporter, static_rnn from TensorFlow, layers with unroll=True from Keras.
Frames are picked from a sequence at fixed positions, and the nodes that first need frame t make up step t. If all steps
are the same nodes on the same weights, each reading the one before, then one of them is the body of the Scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from onnx import NodeProto, helper

from edgernn.importers.onnx.fusions.first_step import steps_after_zeros
from edgernn.importers.onnx.fusions.step_boundaries import begun_earlier
from edgernn.importers.onnx.fusions.unrolled_steps import (
    IndexedFrames,
    Steps,
    equal_steps,
    groups,
    indexed_sequences,
)
from edgernn.importers.onnx.graph.graph import Graph
from edgernn.importers.onnx.graph.node import Node

MAX_VISITS = 10_000_000  # of nodes, in search of a recurrence; a second or two


def reroll_loops(graph: Graph) -> bool:
    """Roll up all recurrences of a graph, one after the other; whether there were any."""
    found = False
    if next(indexed_sequences(graph), None) is not None:
        graph.eliminate_common_subexpressions()
    while any(_roll(graph, indexed, is_reversed) for indexed in _longest(graph) for is_reversed in (False, True)):
        found = True
    return found


def _longest(graph: Graph) -> list[IndexedFrames]:
    """Sequences whose frames are picked one by one, those of most frames first: gates are picked like that too."""
    found = sorted(indexed_sequences(graph), key=lambda indexed: -len(indexed.frames))
    return found[: max(1, MAX_VISITS // len(graph.nodes))]


def _roll(graph: Graph, indexed: IndexedFrames, is_reversed: bool) -> bool:
    """Replace the recurrence over these frames, if there is one."""
    frames = indexed.frames[::-1] if is_reversed else indexed.frames
    found = groups(graph, frames)
    steps = equal_steps(found, frames) or steps_after_zeros(graph, found, frames)
    if steps is None:
        return False
    scan = _Replacement(graph, indexed, begun_earlier(graph, steps), is_reversed)
    return scan.is_possible() and scan.put()


class _Replacement:
    """A Scan that gives all that the rest of the graph reads of the steps."""

    def __init__(self, graph: Graph, indexed: IndexedFrames, steps: Steps, is_reversed: bool) -> None:
        self.graph, self.indexed, self.steps, self.is_reversed = graph, indexed, steps, is_reversed
        self.dropped = {id(node) for node in (*self._step_nodes(), *steps.shortened)}
        self.collected: dict[str, tuple[str, int, bool]] = {}  # output -> tensor of the body, axis, turned round
        self.joins: list[Node] = []
        self.last: set[str] = set()  # tensors of the body of which the last step's is read

    def _step_nodes(self) -> Iterator[Node]:
        written = {name for names in self.steps.names for name in names.values()}
        return (node for node in self.graph.nodes if node.outputs[0] in written)

    def is_possible(self) -> bool:
        """Whether the rest reads only what a Scan can give."""
        final = {here: there for there, here in self.steps.names[-1].items()}
        where = {here: there for names in self.steps.names for there, here in names.items()}
        lost = {name for node in self.steps.shortened for name in node.outputs} - set(where)
        if lost.intersection(self.graph.outputs):
            return False
        for node in self.graph.nodes:
            read = [name for name in (*node.inputs, *node.captured) if name in where or name in lost]
            if id(node) in self.dropped or not read:
                continue
            if lost.intersection(read):
                return False
            if not self._collects(node, where) and not self._reads_last(read, final):
                return False
        outputs = [name for name in self.graph.outputs if name in where]
        return self._reads_last(outputs, final) and bool(self.collected or self.last)

    def _reads_last(self, names: Sequence[str], final: Mapping[str, str]) -> bool:
        if not all(name in final for name in names):
            return False
        self.last.update(final[name] for name in names)
        return True

    def _collects(self, node: Node, where: Mapping[str, str]) -> bool:
        """Whether a node joins one tensor of all steps; the axis along which must be 1 wide, as the Scan will find."""
        if node.operator != "Concat" or len(node.inputs) != len(self.steps.names):
            return False
        (tensor, *others) = {where.get(name) for name in node.inputs}
        if others or tensor is None or tensor not in self.steps.names[-1]:
            return False
        order = [names[tensor] for names in self.steps.names]
        is_backward = list(node.inputs) == order[::-1]
        axis = node.integer("axis", 0)
        if list(node.inputs) != order and not is_backward:
            return False
        self.collected[node.outputs[0]] = (tensor, axis, is_backward)
        self.joins.append(node)
        return True

    def put(self) -> bool:
        """Put the Scan into the graph."""
        steps, unique = self.steps, self.graph.unique
        carried = list(steps.initial)  # tensors of the body
        reads = {new: old for old, new in steps.before.items()}
        final = steps.names[-1]
        finals = [final[name] if name in self.last else unique(f"{name}:last") for name in carried]
        outside = self.indexed.frames[-1 - steps.place if self.is_reversed else steps.place]
        frame = unique(f"{outside}:frame")  # a name of its own, or the graph would still need what picked the frame
        row = unique(f"{frame}:row") if self.indexed.keeps_axis else frame
        nodes = [node.reading({outside: frame}).proto for node in steps.body]
        if self.indexed.keeps_axis:
            nodes.insert(0, self._with_axes("Unsqueeze", row, frame, self.indexed.axis))
        given: list[tuple[str, str, int, int]] = []  # name in the body and outside, axis, direction
        added = []
        for name, (tensor, axis, is_backward) in self.collected.items():
            inner = unique(f"{tensor}:flat")
            nodes.append(self._with_axes("Squeeze", tensor, inner, axis))
            given.append((inner, name, axis, int(is_backward)))
        for name in sorted(self.last - set(carried)):
            inner, frames = unique(f"{name}:frame"), unique(f"{name}:frames")
            nodes.append(helper.make_node("Identity", [name], [inner]))
            given.append((inner, frames, 0, 0))
            position = self.graph.add_constant(unique(f"{name}:newest"), np.array(-1))
            added.append(helper.make_node("Gather", [frames, position], [final[name]], axis=0))
        values = [helper.make_tensor_value_info(name, 1, None) for name in (*map(reads.__getitem__, carried), row)]
        results = [helper.make_tensor_value_info(name, 1, None) for name in (*carried, *(entry[0] for entry in given))]
        name = steps.body[0].name
        self.graph.rolled[name] = len(steps.names)
        scan = helper.make_node(
            "Scan",
            [*(steps.initial[name] for name in carried), self.indexed.sequence],
            [*finals, *(entry[1] for entry in given)],
            name=f"{name}:rolled",
            body=helper.make_graph(nodes, "step", values, results),
            num_scan_inputs=1,
            scan_input_axes=[self.indexed.axis],
            scan_input_directions=[int(self.is_reversed)],
            scan_output_axes=[entry[2] for entry in given] or None,
            scan_output_directions=[entry[3] for entry in given] or None,
        )
        self.graph.replace(self.dropped | {id(node) for node in self.joins}, [scan, *added])
        return True

    def _with_axes(self, operator: str, name: str, output: str, axis: int) -> NodeProto:
        """Squeeze or Unsqueeze; from operator set 13 on the axes are an input."""
        if self.graph.opset < 13:
            return helper.make_node(operator, [name], [output], axes=[axis])
        axes = self.graph.add_constant(self.graph.unique(f"{output}:axes"), np.array([axis]))
        return helper.make_node(operator, [name, axes], [output])

"""Where one unrolled step ends and the next begins: nodes at the end of a step that belong to the next.

``R h + b`` is often computed at the end of a step; for the first, it is computed from the initial h, or an exporter has
computed what it is for an initial h of zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgernn.importers.onnx.fusions.unrolled_steps import Steps
from edgernn.importers.onnx.graph.graph import Graph
from edgernn.importers.onnx.graph.node import Node

TOLERANCE = 1e-7  # of a bias, which may have been added in another order


def begun_earlier(graph: Graph, steps: Steps) -> Steps:
    """The same steps, each begun by those nodes at the end of the one before that the first has before it."""
    return _Boundary(graph, steps).moved()


class _Boundary:
    """The nodes of the body that also stand before the first step.

    Attributes
    ----------
    early : dict of str to str
        For tensors of the body, whose nodes move to the next step, those that stand for them before the first step.
    initial : dict of str to str
        For tensors of the body that those nodes read, what is read before the first step.
    """

    def __init__(self, graph: Graph, steps: Steps) -> None:
        self.graph, self.steps = graph, steps
        self.writers = {name: node for node in graph.nodes for name in node.outputs}
        self.own = {name: node for node in steps.body for name in node.outputs}
        self.first = steps.names[steps.place - 1]
        self.early: dict[str, str] = {}
        self.initial: dict[str, str] = {}

    def moved(self) -> Steps:
        """The steps with these nodes at their beginnings; as they were where there are none, or one does not fit."""
        steps = self.steps
        kept = {
            name: outside
            for name, outside in steps.initial.items()
            if not self._is_written_alike(name, outside) and not self._is_of_zeros(name, outside)
        }
        if not self.early or set(self.initial) & set(self.early):
            return steps
        if any(old not in names for names in steps.names[:-1] for old in self.early):
            return steps
        new_names = {self.first[name]: name for name in self.early}  # its name in the body from now on: the one it had
        body = [
            *dict.fromkeys(self.writers[name] for name in new_names),
            *(node for node in steps.body if node.outputs[0] not in self.early),
        ]
        before = {old: new for old, new in steps.before.items() if new not in self.early}
        before |= {self.first[name]: name for name in self.initial}
        return Steps(
            body=tuple(_sorted(body)),
            names=tuple(self._names(step, new_names) for step in range(len(steps.names))),
            before=before,
            initial=kept | self.initial,
            place=steps.place,
            shortened=steps.shortened,
        )

    def _names(self, step: int, new_names: Mapping[str, str]) -> dict[str, str]:
        """What a step calls the tensors of the body: those that moved as the step before did."""
        names = {name: here for name, here in self.steps.names[step].items() if name not in self.early}
        before = self.early if step == 0 else self.steps.names[step - 1]
        return names | {new: before[old] for new, old in new_names.items()}

    def _is_written_alike(self, name: str, outside: str) -> bool:
        """Whether nodes like those that write a tensor of the body write another before the first step."""
        node, other = self.own.get(name), self.writers.get(outside)
        if node is None or other is None or not self._is_alike(node, other, name, outside):
            return False
        pairs = [(a, b) for a, b in zip(node.inputs, other.inputs, strict=True) if a != b]
        if any(a not in self.own for a, _ in pairs):
            return False
        for a, b in pairs:
            known = self.early.get(a) == b or self._is_written_alike(a, b)
            if not known and self.initial.setdefault(a, b) != b:
                return False
        self.early.update(zip(node.outputs, other.outputs, strict=True))
        return True

    def _is_alike(self, node: Node, other: Node, name: str, outside: str) -> bool:
        """Whether two nodes do the same, and write the two tensors at the same place."""
        return (
            node.fingerprint == other.fingerprint
            and len(node.inputs) == len(other.inputs)
            and all(output in self.first for output in node.outputs)
            and node.outputs.index(name) == other.outputs.index(outside)
        )

    def _is_of_zeros(self, name: str, outside: str) -> bool:
        """Whether `outside` is a constant that the nodes before a tensor of the body would make of zeros."""
        chain, constant = _affine_chain(self.graph, self.own, name), self.graph.constant(outside)
        if chain is None or constant is None or name not in self.first:
            return False
        source, zeros = chain.source, chain.zeros_for(constant)
        if zeros is None:
            return False
        zeros_name = self.graph.add_constant(self.graph.unique(f"{source}:zeros"), zeros)
        if self.initial.setdefault(source, zeros_name) != zeros_name:
            return False
        self.early.update((node.outputs[0], outside) for node in chain.nodes)
        return True


class _AffineChain(NamedTuple):
    """Nodes that compute ``x W + b``, the last first, with reshapes between: W is (width, units) or transposed."""

    nodes: tuple[Node, ...]
    source: str  # x
    width: int
    bias: NDArray[Any]

    def zeros_for(self, constant: NDArray[Any]) -> NDArray[np.float32] | None:
        """The zeros of which it makes a constant; None if it does not."""
        if self.bias.ndim > constant.ndim:
            return None
        if not np.allclose(np.broadcast_to(self.bias, constant.shape), constant, atol=TOLERANCE):
            return None
        return np.zeros((*constant.shape[:-1], self.width), np.float32)


def _affine_chain(graph: Graph, own: Mapping[str, Node], name: str) -> _AffineChain | None:
    """The nodes of the body that compute a tensor by one product with weights; None if others do."""
    nodes: list[Node] = []
    bias: NDArray[Any] = np.zeros(1, np.float32)
    node = own.get(name)
    while node is not None and len(node.outputs) == 1:
        inner = [entry for entry in node.inputs if entry in own]
        if len(inner) != 1:
            return None
        nodes.append(node)
        if node.operator in ("MatMul", "Gemm"):
            return _with_product(graph, own, nodes, bias)
        if node.operator == "Add":
            constants = [array for entry in node.inputs if (array := graph.constant(entry)) is not None]
            if not constants:
                return None
            bias = bias + constants[0]
        elif node.operator != "Reshape":  # onnxruntime puts one on either side of a Gemm
            return None
        node = own[inner[0]]
    return None


def _with_product(
    graph: Graph, own: Mapping[str, Node], nodes: Sequence[Node], bias: NDArray[Any]
) -> _AffineChain | None:
    """The chain that ends with a product, the newest of `nodes`."""
    product = nodes[-1]
    source, W = product.inputs[0], graph.constant(product.inputs[1])
    if source not in own or W is None:
        return None
    C = graph.constant(product.inputs[2]) if product.operator == "Gemm" and len(product.inputs) > 2 else None
    if C is not None:
        bias = bias + product.number("beta", 1.0) * C
    is_transposed = product.operator == "Gemm" and bool(product.integer("transB", 0))
    writer, chain = own[source], tuple(nodes)
    if writer.operator == "Reshape" and len(nodes) > 1 and writer.inputs[0] in own:
        chain, source = (*chain, writer), writer.inputs[0]
    return _AffineChain(chain, source, W.shape[1 if is_transposed else 0], bias)


def _sorted(body: Sequence[Node]) -> list[Node]:
    """Nodes so that each follows those that it reads."""
    waiting, result = list(body), []
    while waiting:
        unwritten = {name for node in waiting for name in node.outputs}
        ready = [node for node in waiting if not unwritten.intersection(node.inputs)]
        result += ready
        waiting = [node for node in waiting if node not in ready]
        if not ready:
            return list(body)
    return result

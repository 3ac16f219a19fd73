"""The graph of an ONNX model, checked: bounds, operator sets, names defined once, nodes in an order that can run."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import onnx
import onnx.checker
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto

from edgernn.errors import MalformedModelError, UnsupportedModelError
from edgernn.importers.onnx.graph.node import Node
from edgernn.importers.onnx.graph.tensors import read_tensor, text, type_name
from edgernn.importers.onnx.streams.values import MAX_RANK

OLDEST_OPSET, NEWEST_OPSET = 9, 28  # of the standard operators
MAX_FILE_BYTES = (1 << 31) - 1  # protobuf's own limit
MAX_NODES = 100_000
MAX_PORTS = 1_000

FLOAT_TYPES = {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64", TensorProto.FLOAT16: "float16"}
INTEGER_TYPES = {getattr(TensorProto, f"{sign}INT{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)}


@dataclass(frozen=True)
class GraphInput:
    """An input of the graph; `dimensions` has a number for each fixed axis, a name, maybe empty, for a dynamic one."""

    name: str
    number_type: int
    dimensions: tuple[int | str, ...]

    @property
    def is_integer(self) -> bool:
        """Whether it holds integers."""
        return self.number_type in INTEGER_TYPES

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(str(dimension) or '?' for dimension in self.dimensions)}]"


class Graph:
    """A checked ONNX graph, cut down to the nodes that its outputs need, in an order that can run.

    Parameters
    ----------
    model : ModelProto
    folder : Path or None
        Where external data may lie.
    begins_from : frozenset of str
        Inputs whose initializer of the same name is what a state begins from; other such initializers are weights.

    Raises
    ------
    MalformedModelError, UnsupportedModelError
    """

    def __init__(self, model: ModelProto, folder: Path | None, begins_from: frozenset[str] = frozenset()) -> None:
        graph = model.graph
        _check_sizes(model)
        self._model, self._folder = model, folder
        self._arrays: dict[str, NDArray[Any]] = {}
        self.producer = f"{text(model.producer_name)} {text(model.producer_version)}".strip()
        self.properties = {text(entry.key): text(entry.value) for entry in model.metadata_props}
        self.opset = _opset(model)
        initializers = {text(tensor.name): tensor for tensor in graph.initializer}
        self._initial_values = {name: initializers[name] for name in begins_from}
        self._initializers = {name: tensor for name, tensor in initializers.items() if name not in begins_from}
        self.inputs = tuple(_read_input(entry) for entry in graph.input if entry.name not in self._initializers)
        self.outputs = tuple(text(entry.name) for entry in graph.output)
        self.output_shapes = {text(entry.name): _dimensions(entry) for entry in graph.output}  # as the file says
        self.rolled: dict[str, int] = {}  # recurrences that were written out, and for how many steps
        nodes = [Node(proto, self.opset, folder) for proto in graph.node]
        self._constant_nodes = {node.outputs[0]: node for node in nodes if node.operator == "Constant"}
        self._names = {name for node in nodes for name in (*node.inputs, *node.outputs, *node.captured)}
        self.nodes = self._needed(_in_order(nodes, self._outside_names(graph)))
        self._check_outputs()
        read = {name for node in self.nodes for name in (*node.inputs, *node.captured)} | set(self.outputs)
        self.unused_inputs = tuple(entry.name for entry in self.inputs if entry.name not in read)
        self.inputs = tuple(entry for entry in self.inputs if entry.name in read)

    def initial_value(self, name: str) -> NDArray[Any] | None:
        """What a state input begins from, where the file says it; shaped as the input."""
        return read_tensor(self._initial_values[name], self._folder) if name in self._initial_values else None

    @cached_property
    def is_valid(self) -> bool:
        """Whether onnx's checker accepts the file, so that what cannot be followed in it is edgernn's limit."""
        return is_accepted(self._model)

    def initializer(self, name: str) -> NDArray[Any] | None:
        """The numbers of an initializer, None if there is none of that name."""
        if name not in self._arrays:
            if name not in self._initializers:
                return None
            self._arrays[name] = read_tensor(self._initializers[name], self._folder)
        return self._arrays[name]

    def writer(self, name: str) -> Node | None:
        """The node that writes a tensor, None where none does."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def consumers(self, name: str) -> list[Node]:
        """Nodes that read a tensor."""
        return [node for node in self.nodes if name in node.inputs]

    def integers(self, name: str) -> list[int] | None:
        """The numbers of a constant vector, or single number, of integers; None where it is something else."""
        array = self.constant(name)
        return None if array is None or array.dtype.kind not in "iu" else [int(entry) for entry in array.reshape(-1)]

    def is_scalar(self, name: str) -> bool:
        """Whether it is a constant without axes."""
        array = self.constant(name)
        return array is not None and array.ndim == 0

    def constant(self, name: str) -> NDArray[Any] | None:
        """The numbers of an initializer, or of a Constant node; None if it is neither."""
        if name in self._constant_nodes:
            return self._constant_nodes[name].tensor("value")
        return self.initializer(name)

    def eliminate_common_subexpressions(self) -> None:
        """Let nodes read equal tensors by one name, be they constants or what equal nodes make of the same.

        Exporters that write out steps repeat the constants for each.
        """
        first: dict[Any, str] = {}
        shared: dict[str, str] = {}
        nodes = []
        for node in self.nodes:
            for name in node.inputs:
                array = None if name in shared else self.initializer(name)
                if array is not None:
                    contents = (array.dtype.str, array.shape, sha256(array.tobytes()).digest())
                    shared[name] = first.setdefault(contents, name)
            renamed = node.reading(shared)
            nodes.append(renamed)
            if renamed.captured or not set(self.outputs).isdisjoint(renamed.outputs):
                continue
            for place, name in enumerate(renamed.outputs):
                made = (renamed.fingerprint, renamed.inputs, place)
                shared[name] = renamed.inputs[0] if renamed.operator == "Identity" else first.setdefault(made, name)
        self.nodes = self._needed(nodes)

    def frozen(self, axes: Mapping[str, int | None], extent: int) -> Graph:
        """The same graph with an axis of each input frozen at an extent."""
        graph = copy(self)
        graph.inputs = tuple(
            replace(entry, dimensions=(*entry.dimensions[:axis], extent, *entry.dimensions[axis + 1 :]))
            if (axis := axes[entry.name]) is not None
            else entry
            for entry in self.inputs
        )
        return graph

    def unique(self, name: str) -> str:
        """A name that no tensor has."""
        while name in self._names:
            name += "'"
        self._names.add(name)
        return name

    def add_constant(self, name: str, array: NDArray[Any]) -> str:
        """An initializer of a name that is unique."""
        self._arrays[name] = array
        return name

    def replace(self, dropped: Collection[int], added: Sequence[NodeProto]) -> None:
        """Leave out the nodes with these ids, and put others in; what is not needed any more goes as well."""
        kept = [node for node in self.nodes if id(node) not in dropped]
        nodes = [*kept, *(Node(proto, self.opset, self._folder) for proto in added)]
        written = {name for node in nodes for name in node.outputs}
        outside = {name for node in nodes for name in node.inputs if name not in written}
        self.nodes = self._needed(_in_order(nodes, outside))

    def reads(self, name: str) -> bool:
        """Whether a node reads a tensor, or it is an output."""
        return name in self.outputs or bool(self.consumers(name))

    def _outside_names(self, graph: Any) -> set[str]:
        """Names that no node writes: initializers and inputs, each defined once."""
        names = [tensor.name for tensor in graph.initializer]
        names += [entry.name for entry in self.inputs if entry.name not in self._initial_values]
        _check_unique(names, "an initializer or input")
        return set(names)

    def _needed(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        needed = set(self.outputs)
        kept = []
        for node in reversed(nodes):
            if needed.intersection(node.outputs):
                needed.update(node.inputs, node.captured)
                kept.append(node)
        return tuple(reversed(kept))

    def _check_outputs(self) -> None:
        if not self.outputs:
            raise MalformedModelError("the model has no outputs")
        _check_unique(list(self.outputs), "an output")
        known = {name for node in self.nodes for name in node.outputs} | set(self._initializers)
        known.update(entry.name for entry in self.inputs)
        for name in self.outputs:
            if name not in known:
                raise MalformedModelError(f"output {name} of the model is written by no node")


class Body:
    """A graph inside of a node: the body of a loop, or a branch.

    Attributes
    ----------
    inputs, outputs : tuple of str
    nodes : tuple of Node
        Those that the outputs need, in an order that can run.
    captured : frozenset of str
        Names that it reads from outside.
    """

    def __init__(self, node: Node, name: str) -> None:
        graph = node.graph(name)
        self._folder = node.folder
        self.inputs = tuple(text(entry.name) for entry in graph.input)
        self.outputs = tuple(text(entry.name) for entry in graph.output)
        if len(graph.node) > MAX_NODES or len(graph.initializer) > MAX_NODES:
            raise node.malformed(f"has a graph of more than {MAX_NODES} nodes or weights")
        self._initializers = {text(tensor.name): tensor for tensor in graph.initializer}
        nodes = [Node(proto, node.opset, node.folder) for proto in graph.node]
        self._writers = {name: inner for inner in nodes for name in inner.outputs}
        known = {name for inner in nodes for name in inner.inputs if name not in self._writers}
        self.nodes = tuple(_in_order(nodes, known))
        inner_names = {*self.inputs, *self._initializers, *self._writers, ""}
        read = {name for inner in nodes for name in (*inner.inputs, *inner.captured)} | set(self.outputs)
        self.captured = frozenset(read - inner_names)

    def initializer(self, name: str) -> NDArray[Any] | None:
        """The numbers of an initializer of the body, None if there is none of that name."""
        return read_tensor(self._initializers[name], self._folder) if name in self._initializers else None

    def writes(self, name: str) -> bool:
        """Whether a node of the body, or an initializer, is a tensor of that name."""
        return name in self._writers or name in self._initializers

    def writer(self, name: str) -> Node | None:
        """The node that writes a tensor, behind those that only pass it on; None where no node of the body does."""
        node = self._writers.get(name)
        while node is not None and node.operator in {"Identity", "Cast"}:
            node = self._writers.get(node.inputs[0])
        return node

    def passes(self, output: str, name: str) -> bool:
        """Whether an output is an input as it is."""
        while output in self._writers and self._writers[output].operator == "Identity":
            output = self._writers[output].inputs[0]
        return output == name

    def sources(self, output: str) -> set[str]:
        """Names of all that an output is computed from, itself among them."""
        found: set[str] = set()
        waiting = [output]
        while waiting:
            name = waiting.pop()
            if name and name not in found:
                found.add(name)
                if name in self._writers:
                    waiting += [*self._writers[name].inputs, *self._writers[name].captured]
        return found

    def needed(self, outputs: Collection[str]) -> tuple[Node, ...]:
        """The nodes that some of the outputs need, in order."""
        needed = set().union(*(self.sources(output) for output in outputs))
        return tuple(node for node in self.nodes if needed.intersection(node.outputs))


def read_model(path: Path) -> ModelProto:
    """Parse a model file.

    Raises
    ------
    MalformedModelError
        There is no such file, it is too large, or it is no ONNX model.
    """
    try:
        if not path.is_file():
            raise MalformedModelError(f"{path}: there is no such file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise MalformedModelError(
                f"{path} has {size} bytes, the most is {MAX_FILE_BYTES}: keep the weights in external data"
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, MalformedModelError):
            raise
        raise MalformedModelError(f"{path} cannot be read: {error}") from error
    return parse_model(data, str(path))


def parse_model(data: bytes, where: str) -> ModelProto:
    """Parse the bytes of a model; `where` names them in the error."""
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError) as error:
        raise MalformedModelError(f"{where} is no ONNX model, or is damaged: {error}") from error
    return model


def overridable_inputs(model: ModelProto) -> tuple[str, ...]:
    """Inputs that also have an initializer, which is their default."""
    defaults = {tensor.name for tensor in model.graph.initializer}
    return tuple(entry.name for entry in model.graph.input if entry.name in defaults)


def is_accepted(model: ModelProto) -> bool:
    """Whether onnx's checker accepts a model."""
    try:
        onnx.checker.check_model(model)
    except Exception:  # the checker raises errors of several bases
        return False
    return True


def _check_sizes(model: ModelProto) -> None:
    graph = model.graph
    if not graph.node:
        raise MalformedModelError("the model has no nodes: it is empty or damaged")
    for what, entries, most in (
        ("nodes", graph.node, MAX_NODES),
        ("initializers", graph.initializer, MAX_NODES),
        ("inputs", graph.input, MAX_NODES),
        ("outputs", graph.output, MAX_PORTS),
    ):
        if len(entries) > most:
            raise MalformedModelError(f"the model has {len(entries)} {what}, the most is {most}")
    if model.functions:
        raise UnsupportedModelError(
            f"the model defines {len(model.functions)} functions of its own ({model.functions[0].name}, ...): "
            "inline them with onnx.inliner.inline_local_functions"
        )
    if graph.sparse_initializer:
        raise UnsupportedModelError("the model has sparse weights: export it with dense ones")


def _opset(model: ModelProto) -> int:
    versions = {entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")}
    if not versions and not any(node.domain in ("", "ai.onnx") for node in model.graph.node):
        return NEWEST_OPSET  # no standard operator is there whose version could matter
    if len(versions) != 1:
        raise MalformedModelError(f"the model names {len(versions)} versions of the standard operators, it must be one")
    (version,) = versions
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        raise UnsupportedModelError(
            f"the model uses operator set {version}, edgernn knows {OLDEST_OPSET} to {NEWEST_OPSET}: export it "
            "with another opset_version, or convert it with onnx.version_converter"
        )
    return int(version)


def _read_input(entry: onnx.ValueInfoProto) -> GraphInput:
    tensor = entry.type.tensor_type
    if not text(entry.name) or entry.type.WhichOneof("value") != "tensor_type":
        raise UnsupportedModelError(f"input {entry.name or '(unnamed)'} of the model is no tensor: export it as one")
    if not tensor.HasField("shape") or len(tensor.shape.dim) > MAX_RANK:
        raise UnsupportedModelError(f"input {entry.name} has no shape: export the model with an example input")
    if tensor.elem_type not in FLOAT_TYPES and tensor.elem_type not in INTEGER_TYPES:
        raise UnsupportedModelError(
            f"input {entry.name} has number type {type_name(tensor.elem_type)}: export it with float32 inputs"
        )
    return GraphInput(entry.name, tensor.elem_type, _dimensions(entry))


def _dimensions(entry: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    """A number for each fixed axis, a name, maybe empty, for a dynamic one."""
    return tuple(
        dimension.dim_value if dimension.dim_value > 0 else text(dimension.dim_param)
        for dimension in entry.type.tensor_type.shape.dim
    )


def _check_unique(names: list[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise MalformedModelError(f"{what} is called {name!r}, as is another one: names must be unique")
        seen.add(name)


def _in_order(nodes: list[Node], known: set[str]) -> list[Node]:
    """Nodes so that each comes after those it reads from; their own order is kept where it can run."""
    writers: dict[str, int] = {}
    for number, node in enumerate(nodes):
        for name in filter(None, node.outputs):
            if name in writers or name in known:
                raise node.malformed(f"writes {name!r}, which is defined already")
            writers[name] = number
    waiting: list[int] = []
    readers: dict[int, list[int]] = {}
    for number, node in enumerate(nodes):
        read = {name for name in node.inputs if name and name not in known}
        undefined = sorted(name for name in read if name not in writers)
        read.update(name for name in node.captured if name in writers)
        if undefined:
            raise node.malformed(f"reads {undefined[0]!r}, which nothing defines: a weight or node is missing")
        sources = {writers[name] for name in read}
        waiting.append(len(sources))
        for source in sources:
            readers.setdefault(source, []).append(number)
    ready = [number for number, count in enumerate(waiting) if count == 0]  # a heap: the first of the file comes first
    order = []
    while ready:
        number = heapq.heappop(ready)
        order.append(nodes[number])
        for reader in readers.get(number, ()):
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = next(node for node, count in zip(nodes, waiting, strict=True) if count)
        raise stuck.malformed("reads what it writes itself, directly or through other nodes: the graph has a cycle")
    return order

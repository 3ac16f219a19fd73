"""One node of the graph: its names and attributes, read with their types checked."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import cached_property, partial
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, NodeProto

from edgernn.errors import MalformedModelError, UnsupportedModelError
from edgernn.importers.onnx.graph.tensors import read_tensor, text

MAX_ENTRIES = 65_536  # of a list attribute

T = TypeVar("T")


class Node:
    """A node of the graph.

    Attributes are read through the methods below, which remember the names: what no rule has read is not supported,
    and `unread_attributes` lists it.
    """

    def __init__(self, proto: NodeProto, opset: int, folder: Path | None) -> None:
        self.operator = text(proto.op_type)
        self.domain = "" if proto.domain == "ai.onnx" else text(proto.domain)
        self.inputs = tuple(map(text, proto.input))  # "" where an optional input is left out
        self.outputs = tuple(map(text, proto.output))
        self.proto = proto
        self.captured = _names_in_graphs(proto)  # that graphs in its attributes read from outside
        self.opset = opset
        self.name = text(proto.name) or f"{self.operator}_{next(filter(None, self.outputs), '')}"
        self._folder = folder
        self._attributes = {text(attribute.name): attribute for attribute in proto.attribute}
        self._read: set[str] = set()
        if len(self._attributes) != len(proto.attribute):
            raise self.malformed("has an attribute twice")
        if not self.outputs:
            raise self.malformed("has no outputs")

    def __repr__(self) -> str:
        return f"node {self.name} ({self.qualified_operator})"

    @property
    def qualified_operator(self) -> str:
        """The operator, after its set where that is not ONNX's own."""
        return f"{self.domain}.{self.operator}" if self.domain else self.operator

    def malformed(self, complaint: str) -> MalformedModelError:
        """The error for something that no correct model has."""
        return MalformedModelError(f"{self!r} {complaint}")

    def unsupported(self, complaint: str) -> UnsupportedModelError:
        """The error for something that edgernn cannot do; `complaint` ends in what to do."""
        return UnsupportedModelError(f"{self!r} {complaint}")

    @cached_property
    def fingerprint(self) -> tuple[str, str, bytes]:
        """What the node does to its inputs."""
        attributes = (self._attributes[name].SerializeToString(deterministic=True) for name in sorted(self._attributes))
        return self.operator, self.domain, b"\0".join(attributes)

    @property
    def unread_attributes(self) -> tuple[str, ...]:
        """Names of the attributes that nobody has asked for."""
        return tuple(sorted(set(self._attributes) - self._read))

    def ignore(self, *names: str) -> None:
        """Say of attributes that they do not matter here."""
        self._read.update(names)

    def has(self, name: str) -> bool:
        """Whether the attribute is present."""
        return name in self._attributes

    def rewritten(self, operator: str, outputs: tuple[str, ...], opset: int | None = None) -> Node:
        """The same node with its attributes as another operator, of the standard set of a version."""
        node = copy(self)
        node.operator, node.domain, node.outputs, node.opset = operator, "", outputs, opset or self.opset
        return node

    def reading(self, names: Mapping[str, str]) -> Node:
        """The same node with some of its inputs under other names."""
        inputs = tuple(names.get(name, name) for name in self.inputs)
        if inputs == self.inputs:
            return self
        node = copy(self)
        node.inputs, node.proto = inputs, NodeProto()
        node.proto.CopyFrom(self.proto)
        node.proto.input[:] = inputs
        return node

    def _value(self, name: str, kind: Any, field: str, default: T) -> Any | T:
        self._read.add(name)
        attribute = self._attributes.get(name)
        if attribute is None:
            return default
        if attribute.type != kind:
            raise self.malformed(f"has the attribute {name} with a value of the wrong type")
        return getattr(attribute, field)

    def _values(self, name: str, kind: Any, field: str) -> list[Any] | None:
        values = self._value(name, kind, field, None)
        if values is not None and len(values) > MAX_ENTRIES:
            raise self.malformed(f"has {len(values)} entries in its attribute {name}, the most is {MAX_ENTRIES}")
        return None if values is None else list(values)

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        return int(self._value(name, AttributeProto.INT, "i", default))

    def integers(self, name: str) -> list[int] | None:
        """A list of integers, None where absent."""
        return self._values(name, AttributeProto.INTS, "ints")

    def number(self, name: str, default: float | None) -> float | None:
        """A finite float attribute."""
        value = self._value(name, AttributeProto.FLOAT, "f", default)
        if value is not None and not isfinite(value):
            raise self.malformed(f"has the attribute {name} = {value}, it must be finite")
        return None if value is None else float(value)

    def numbers(self, name: str) -> list[float] | None:
        """A list of floats, None where absent."""
        return self._values(name, AttributeProto.FLOATS, "floats")

    def word(self, name: str, default: str) -> str:
        """A text attribute."""
        return self._decoded(name, self._value(name, AttributeProto.STRING, "s", default.encode()))

    def words(self, name: str) -> list[str] | None:
        """A list of texts, None where absent."""
        values = self._values(name, AttributeProto.STRINGS, "strings")
        return None if values is None else list(map(partial(self._decoded, name), values))

    def tensor(self, name: str) -> NDArray[Any] | None:
        """A tensor attribute, None where absent."""
        value = self._value(name, AttributeProto.TENSOR, "t", None)
        return None if value is None else read_tensor(value, self._folder)

    def graph(self, name: str) -> GraphProto:
        """A graph attribute."""
        value = self._value(name, AttributeProto.GRAPH, "g", None)
        if value is None:
            raise self.malformed(f"lacks its graph {name}")
        assert isinstance(value, GraphProto)
        return value

    @property
    def folder(self) -> Path | None:
        """Where external data may lie."""
        return self._folder

    def _decoded(self, name: str, value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise self.malformed(f"has the attribute {name}, which is not UTF-8: {error}") from error


def _names_in_graphs(node: NodeProto) -> frozenset[str]:
    """All names that the graphs in a node's attributes read and do not write themselves, at any depth."""
    names: set[str] = set()
    for attribute in node.attribute:
        if attribute.HasField("g"):  # protobuf bounds how deep graphs may lie in each other
            graph = attribute.g
            read = {text(entry.name) for entry in graph.output}
            own = {text(entry.name) for entries in (graph.input, graph.initializer) for entry in entries}
            for inner in graph.node:
                read.update(map(text, inner.input), _names_in_graphs(inner))
                own.update(map(text, inner.output))
            names |= read - own
    return frozenset(names)

"""From a checked graph to a Program: each node's rule in turn, then states, outputs and the description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto

from edgernn.errors import ModelError, UnsupportedModelError
from edgernn.importers.onnx.builder import ProgramBuilder
from edgernn.importers.onnx.constants import FOLDS
from edgernn.importers.onnx.fusion import fuse_biases
from edgernn.importers.onnx.graph import Graph
from edgernn.importers.onnx.node import Node
from edgernn.importers.onnx.rules import RULES, Call, advice
from edgernn.importers.onnx.rules.call import Options, Results
from edgernn.importers.onnx.states import named_states, pair_states, stated_pairs
from edgernn.importers.onnx.tensors import type_name
from edgernn.importers.onnx.time_axis import Layout, WrongAxisError, find_state_inputs, layouts
from edgernn.importers.onnx.values import Constant, Role, Stream, Tensor, check_step_shape, features, width_of
from edgernn.metadata import Metadata
from edgernn.operations import AnyOperation, ReadState, RecurrentOperation, StateRegion, WriteState
from edgernn.program import InputDescription, OutputDescription, Program, ProgramDescription, StateSlot

CONTINUOUS = "each output needs only the samples up to its own, so the states simply go on"


@dataclass(frozen=True)
class ImportedModel:
    """A program, and how it relates to the graph it was made from.

    Attributes
    ----------
    program : Program
    layouts : dict of str to Layout
        Where each input of the graph has its time and batch axis.
    pairs : dict of str to str
        For each state input the output that feeds it.
    """

    program: Program
    layouts: dict[str, Layout]
    pairs: dict[str, str]


def import_model(
    model: ModelProto,
    folder: Path | None = None,
    *,
    time_axis: int | None = None,
    states: Mapping[str, str] | None = None,
    assume_torch_gru: bool = False,
) -> ImportedModel:
    """Import an ONNX model; the options are those of `edgernn.load`.

    Parameters
    ----------
    model : ModelProto
    folder : Path or None
        In which external data may lie.

    Raises
    ------
    MalformedModelError, UnsupportedModelError, StatePairingError
    InputError
        `time_axis` does not exist.
    """
    graph = Graph(model, folder)
    _check_loops(graph)
    _check_inputs(graph)
    metadata = Metadata.from_properties(graph.properties)
    stated = stated_pairs(graph.properties, states)
    options = Options(assume_torch_gru)
    first_error: ModelError | None = None
    with np.errstate(all="ignore"):
        for place, (state_inputs, layout) in enumerate(_assumptions(graph, time_axis, stated)):
            try:
                attempt = _Attempt(graph, layout, state_inputs, options)
                if place == 0 or time_axis is not None or attempt.runs_a_recurrence:
                    return attempt.finish(stated, metadata)
            except ModelError as error:
                if first_error is None or (
                    isinstance(first_error, WrongAxisError) and not isinstance(error, WrongAxisError)
                ):
                    first_error = error
    raise first_error or UnsupportedModelError(
        f"no axis of the inputs ({', '.join(map(str, graph.inputs))}) can be time with all other dynamic axes being "
        "the batch: export the model with at most these two axes dynamic"
    )


def _assumptions(
    graph: Graph, time_axis: int | None, stated: Mapping[str, str] | None
) -> Iterator[tuple[frozenset[str], dict[str, Layout]]]:
    """Which inputs are states, and where time is; the likeliest first."""
    sure = find_state_inputs(graph) | frozenset(stated or ())
    likely = sure
    if stated is None:
        one_step = [entry.name for entry in graph.inputs if sum(isinstance(d, str) for d in entry.dimensions) <= 1]
        likely |= named_states(one_step, graph.outputs)
    if len(likely) == len(graph.inputs):
        likely = sure
    for state_inputs in dict.fromkeys((likely, sure)):
        for layout in layouts(graph, time_axis, state_inputs):
            yield state_inputs, layout


def _check_loops(graph: Graph) -> None:
    """Refuse loops and branches before the counting around them is refused, with advice that leads nowhere."""
    for node in graph.nodes:
        if node.captured and node.operator not in RULES:
            raise node.unsupported(f"is not supported: {advice(node.operator)}")


def _check_inputs(graph: Graph) -> None:
    if not graph.inputs:
        raise UnsupportedModelError("the outputs of the model depend on none of its inputs: there is nothing to stream")
    for entry in graph.inputs:
        if entry.is_integer:
            readers = ", ".join(map(repr, graph.consumers(entry.name)[:3])) or "nobody else"
            raise UnsupportedModelError(
                f"input {entry.name}, which {readers} reads, holds integers ({type_name(entry.number_type)}): integer "
                "ids and lengths are not supported; export the part of the model after its embedding, and no lengths "
                "of sequences, since a stream ends where it ends"
            )


class _Attempt:
    """One pass over the graph with assumed axes of time and batch."""

    def __init__(self, graph: Graph, layout: dict[str, Layout], state_inputs: frozenset[str], options: Options) -> None:
        self.graph, self.layout, self.options = graph, layout, options
        self.inputs: dict[str, Stream] = {}
        names = [name for node in graph.nodes for name in node.outputs] + [entry.name for entry in graph.inputs]
        for entry in graph.inputs:
            axes = layout[entry.name].axes(entry.dimensions)
            self.inputs[entry.name] = Stream.of(entry.name, axes)
        has_time = any(stream.find(Role.TIME) is not None for stream in self.inputs.values())
        self.builder = ProgramBuilder(has_time, state_inputs, names)
        self.builder.warnings += [f"input {name} is not used, so it is left out" for name in graph.unused_inputs]
        for entry in graph.inputs:
            shape = layout[entry.name].step_shape(entry.dimensions) or (1,)
            check_step_shape(shape, f"input {entry.name}")
            self.builder.add_input(entry.name, shape)
            if entry.number_type != TensorProto.FLOAT:
                wider = type_name(entry.number_type)
                self.builder.warnings.append(f"the model computes in {wider}, edgernn in float32: results may differ")
        self.tensors: dict[str, Tensor] = dict(self.inputs)
        for node in graph.nodes:
            self._apply(node)

    def _apply(self, node: Node) -> None:
        inputs = tuple(self._read(name) for name in node.inputs)
        self.builder.source = node.name
        try:
            results = self._results(node, inputs)
        except ModelError:
            raise
        except (ValueError, TypeError, IndexError, ArithmeticError, MemoryError) as error:
            raise node.malformed(f"does not fit what it reads: {error}") from error
        if node.unread_attributes:
            raise node.unsupported(f"has the attribute {node.unread_attributes[0]}, which is not supported")
        self.tensors.update((name, result) for name, result in zip(node.outputs, results, strict=False) if name)

    def _read(self, name: str) -> Tensor | None:
        if not name:
            return None
        if name not in self.tensors:
            array = self.graph.initializer(name)
            if array is None:
                raise UnsupportedModelError(f"tensor {name} is an optional output that is not supported")
            self.tensors[name] = Constant.of(array, name)
        return self.tensors[name]

    def _results(self, node: Node, inputs: tuple[Tensor | None, ...]) -> Results:
        operator = f"{node.domain}.{node.operator}" if node.domain else node.operator
        if node.domain and operator not in RULES:
            raise node.unsupported(
                f"is of the operator set {node.domain}, which is not supported: {advice(node.operator, node.domain)}"
            )
        constants = [tensor for tensor in inputs if isinstance(tensor, Constant)]
        if len(constants) == len(inputs) and operator in FOLDS:
            return (FOLDS[operator](node, *constants),)
        if operator not in RULES:
            raise node.unsupported(f"is not supported: {advice(operator)}")
        return RULES[operator](Call(node, inputs, self.builder, self.graph, self.options))

    @property
    def runs_a_recurrence(self) -> bool:
        """Whether a recurrent operator has accepted the axes of time and batch."""
        return any(isinstance(operation, RecurrentOperation) for operation in self.builder.operations)

    # ---- what becomes of the inputs and outputs

    def finish(self, stated: Mapping[str, str] | None, metadata: Metadata) -> ImportedModel:
        """The Program."""
        builder, self.builder.source = self.builder, ""
        streams = {name: self._output_stream(name) for name in self.graph.outputs}
        pairs = pair_states(builder, self.inputs, streams, stated)
        ports = [name for name in streams if name not in pairs.values()] or list(streams)
        outputs = tuple(self._output(name, streams[name]) for name in ports)
        states = {name for name in self.inputs if name in pairs or any(c.state_input == name for c in builder.claims)}
        writes = [write for name in pairs for write in self._writes(name, streams[pairs[name]])]
        kept_values = [output.value for output in outputs] + [write.inputs[0] for write in writes]
        reads = self._reads(states, kept_values)
        steps = fuse_biases(builder.operations, builder.weights, kept_values)
        operations = (*reads, *steps, *writes)
        slots = [StateSlot(name, builder.values[name].shape) for name in self.inputs if name in states]
        slots += builder.slots.values()
        used = {name for operation in operations for name in operation.weight_names()}
        used |= {slot.initial for slot in slots if slot.initial is not None}
        description = ProgramDescription(
            inputs=tuple(
                InputDescription(name, builder.values[name].shape) for name in self.inputs if name not in states
            ),
            outputs=outputs,
            state=tuple(slots),
            operations=operations,
            mode_reason=CONTINUOUS,
            trained_steps=metadata.window_steps or self._frozen_steps(),
            warnings=tuple(dict.fromkeys(builder.warnings)),
            metadata=metadata,
        )
        weights = {name: array for name, array in builder.weights.items() if name in used}
        return ImportedModel(Program(description, weights), self.layout, pairs)

    def _output_stream(self, name: str) -> Stream:
        tensor = self._read(name)
        if not isinstance(tensor, Stream):
            raise UnsupportedModelError(
                f"output {name} does not depend on the model's inputs: remove it from the graph"
            )
        return tensor

    def _output(self, name: str, stream: Stream) -> OutputDescription:
        """Describe an output; a batch or time of one, which nobody follows, is taken to be its leading axes of one."""
        time = stream.find(Role.TIME)
        kept = [i for i, axis in enumerate(stream.axes) if not axis or width_of(axis) > 1]
        for _ in range(self._axes_of_one()):
            if len(kept) > 1 and stream.axes[kept[0]] == ():
                kept = kept[1:]
        shape = tuple(width_of(stream.axes[i]) for i in kept) or (1,)
        time_axis = 0 if time is None else sum(i < time for i in kept)
        return OutputDescription(name, self.builder.value(stream, shape), not stream.whole, time_axis)

    def _axes_of_one(self) -> int:
        """How many of time and batch have the extent 1 in the inputs."""
        return max(
            sum(axis is not None and entry.dimensions[axis] == 1 for axis in (layout.batch_axis, layout.time_axis))
            for entry in self.graph.inputs
            for layout in (self.layout[entry.name],)
        )

    def _reads(self, states: set[str], kept_values: list[str]) -> list[AnyOperation]:
        """States that are read as they are."""
        read = {name for operation in self.builder.operations for name in operation.inputs} | set(kept_values)
        return [
            ReadState(
                name=self.builder.unique_operation(f"read {name}"),
                inputs=(),
                outputs=(name,),
                region=StateRegion(name),
                shape=self.builder.values[name].shape,
            )
            for name in self.inputs
            if name in states and name in read
        ]

    def _writes(self, state: str, stream: Stream) -> list[AnyOperation]:
        """Writes of those parts of a state that no recurrence keeps by itself."""
        kept = np.zeros(stream.elements.size + 2, bool)  # with an edge on either side
        kept[0] = kept[-1] = True
        for claim in self.builder.claims:
            if claim.state_input == state:
                kept[1 + claim.offset : 1 + claim.offset + claim.size] = True
        edges = np.flatnonzero(np.diff(kept))
        writes: list[AnyOperation] = []
        flat = stream.elements.ravel()
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            part = stream.moved((features(stop - start),), flat[start:stop])
            writes.append(
                WriteState(
                    name=self.builder.unique_operation(f"write {state}"),
                    inputs=(self.builder.value_of_any_shape(part),),
                    outputs=(),
                    region=StateRegion(state, start),
                    size=stop - start,
                )
            )
        return writes

    def _frozen_steps(self) -> int | None:
        """The length of time that the file holds, if it is no single step."""
        for entry in self.graph.inputs:
            axis = self.layout[entry.name].time_axis
            dimension = entry.dimensions[axis] if axis is not None else 1
            if isinstance(dimension, int) and dimension > 1:
                return dimension
        return None

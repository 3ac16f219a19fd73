"""One pass over a checked graph: each node's rule in turn, then states, outputs and the description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto

from edgernn.errors import MalformedModelError, UnsupportedModelError
from edgernn.importers.onnx.fusions.dead_code import needed_operations
from edgernn.importers.onnx.fusions.log import Fusion, FusionLog
from edgernn.importers.onnx.fusions.passes import passes_after_translation, run_passes
from edgernn.importers.onnx.graph.graph import Graph
from edgernn.importers.onnx.graph.tensors import type_name
from edgernn.importers.onnx.rules.call import Options
from edgernn.importers.onnx.scope import Scope
from edgernn.importers.onnx.search.axes import Layout
from edgernn.importers.onnx.search.traps import traps
from edgernn.importers.onnx.streams.builder import ProgramBuilder
from edgernn.importers.onnx.streams.sequence import frames_of, materialize_padding
from edgernn.importers.onnx.streams.state_binding import pair_states
from edgernn.importers.onnx.streams.timing import EVERY_FRAME, TIME_INVARIANT, Timing
from edgernn.importers.onnx.streams.values import Role, Signal, check_step_shape, features, has_role, width_of
from edgernn.program.description import InputDescription, OutputDescription, ProgramDescription, StateSlot, Window
from edgernn.program.metadata import Metadata
from edgernn.program.operations import AnyOperation, DelayLine, ReadState, RecurrentOperation, StateRegion, WriteState
from edgernn.program.program import Program
from edgernn.program.trees import nested, rewritten, walk

CONTINUOUS = "each output needs only the samples up to its own, so the states simply go on"
DELAYED = "outputs look ahead, so they come that much later"
AHEAD = (
    "an output belongs to all samples so far, and layers before it look ahead: each step runs on with the padding that "
    "the model has behind the last sample, on a copy of the state"
)


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
    fusions : FusionLog
        What became one operation, and what nearly did.
    """

    program: Program
    layouts: dict[str, Layout]
    pairs: dict[str, str]
    fusions: FusionLog = field(default_factory=FusionLog)


class GraphTranslation:
    """One pass over the graph with assumed axes of time and batch, on a stream or, with `window`, on windows."""

    def __init__(
        self,
        graph: Graph,
        layout: dict[str, Layout],
        state_inputs: frozenset[str],
        options: Options,
        window: Window | None = None,
    ) -> None:
        self.graph, self.layout, self.options, self.window = graph, layout, options, window
        self.written = graph  # before lengths were frozen
        axes = {entry.name: layout[entry.name].axes(entry.dimensions) for entry in graph.inputs}
        self.sequences = {name for name, entry in axes.items() if any(has_role(axis, Role.TIME) for axis in entry)}
        names = [name for node in graph.nodes for name in node.outputs] + [entry.name for entry in graph.inputs]
        self.builder = ProgramBuilder(bool(self.sequences), state_inputs, names)
        self.builder.warnings += [f"input {name} is not used, so it is left out" for name in graph.unused_inputs]
        self.builder.findings.steps = frozen_steps(graph, layout)
        self.builder.findings.batch = max(_frozen_batch(entry.dimensions, layout[entry.name]) for entry in graph.inputs)
        self.inputs: dict[str, Signal] = {}
        for entry in graph.inputs:
            shape = layout[entry.name].step_shape(entry.dimensions) or (1,)
            check_step_shape(shape, f"input {entry.name}")
            self.builder.add_input(entry.name, shape, "int32" if entry.is_integer else "float32")
            if entry.number_type != TensorProto.FLOAT and not entry.is_integer:
                wider = type_name(entry.number_type)
                self.builder.warnings.append(f"the model computes in {wider}, edgernn in float32: results may differ")
            is_time_invariant = self.sequences and entry.name not in self.sequences and entry.name not in state_inputs
            timing = TIME_INVARIANT if is_time_invariant else EVERY_FRAME
            self.inputs[entry.name] = self._input(Signal.of(entry.name, axes[entry.name], timing))
        self.scope = Scope(graph, self.builder, options, self.inputs, graph.initializer)

    def _input(self, x: Signal) -> Signal:
        """An input of the graph as it comes in each step; on windows, all frames of one."""
        if self.window is None:
            return x
        place = x.find(Role.TIME)
        if place is None:
            return x.timed(Timing(self.window.steps - 1, self.window.hop, self.window.hop - self.window.steps))
        frames = frames_of(self.builder, x, self.window.steps, stride=self.window.hop)
        axes = (*x.axes[:place], features(self.window.steps), *x.axes[place + 1 :])
        return frames.moved(axes, np.moveaxis(frames.elements.squeeze(place + 1), 0, place))

    def translate(self, stated: Mapping[str, str] | None, metadata: Metadata, window_reason: str = "") -> ImportedModel:
        """The Program of the whole graph.

        Raises
        ------
        MalformedModelError
            The file is damaged: onnx's checker does not accept it either.
        UnsupportedModelError
            edgernn cannot follow the graph; the text names the node.
        """
        try:
            self.apply_nodes()
            return self.finish(stated, metadata, window_reason)
        except MalformedModelError as error:
            if not self.graph.is_valid:
                raise
            raise UnsupportedModelError(f"edgernn cannot follow this model: {error}{self._at_node(error)}") from error
        except (AssertionError, LookupError, AttributeError, ArithmeticError, TypeError) as error:
            raise UnsupportedModelError(
                f"edgernn cannot follow this model ({type(error).__name__}: {error}){self._at_node(error)}: export "
                "it with plainer operators there, or report it"
            ) from error

    def _at_node(self, error: Exception) -> str:
        source = self.builder.source
        return f", at or before node {source}" if source and source not in f"{error}" else ""

    def apply_nodes(self) -> None:
        """Every node's rule, in order."""
        self.scope.apply(self.graph.nodes)

    @property
    def runs_over_time(self) -> bool:
        """Whether an operator has accepted the axis of time as the one that it runs over."""
        operations = self.builder.operations
        return self.builder.findings.ran_over_time or any(
            isinstance(o, RecurrentOperation | DelayLine) for o in operations
        )

    # ---- what becomes of the inputs and outputs

    def finish(self, stated: Mapping[str, str] | None, metadata: Metadata, window_reason: str = "") -> ImportedModel:
        """The Program; `window_reason` says why it is no stream."""
        builder, self.builder.source = self.builder, ""
        streams = {name: self._output_stream(name) for name in self.graph.outputs}
        pairs = pair_states(builder, self.inputs, streams, stated, self.sequences)
        ports = [name for name in streams if name not in pairs.values()] or list(streams)
        outputs = tuple(self._output(name, streams[name]) for name in ports)
        bindings = builder.state_inputs.bindings
        states = {name for name in self.inputs if name in pairs or any(one.state_input == name for one in bindings)}
        tail_steps = max(output.timing.tail_steps for name, output in streams.items() if name in ports)
        writes = [write for name in pairs for write in self._writes(name, streams[pairs[name]])]
        kept_values = [output.value for output in outputs] + [write.inputs[0] for write in writes]
        reads = self._reads(states, kept_values)
        state_writes = {write.region.slot for write in writes if isinstance(write, WriteState)}
        bound = {binding.state_input for binding in bindings if binding.state_input in pairs}
        kept_slots = state_writes | bound
        needed = needed_operations(builder.operations, builder.weights, kept_values, kept_slots)
        steps = rewritten(
            nested(builder.operations, builder.loops.paths),
            lambda operation: (operation,) if operation.name in needed else (),
        )
        written = (name for operation in walk(steps) for name in operation.outputs)
        builder.deferred_errors.check((*kept_values, *written))
        operations = (*reads, *steps, *writes)
        slots = [
            StateSlot(name, builder.values[name].shape, builder.values[name].dtype, self._initial_weight(name))
            for name in self.inputs
            if name in states
        ]
        used_slots = {region.slot for step in walk(operations) for region, _ in step.regions(builder.weights)}
        slots += [slot for name, slot in builder.hidden_states.slots.items() if name in used_slots]
        used = {name for operation in walk(operations) for name in operation.weight_names()}
        used |= {slot.initial for slot in slots if slot.initial is not None}
        sequences = [output.name for output in outputs if output.per_frame]
        description = ProgramDescription(
            inputs=tuple(
                InputDescription(name, builder.values[name].shape, builder.values[name].dtype)
                for name in self.inputs
                if name not in states
            ),
            outputs=outputs,
            state=tuple(slots),
            operations=operations,
            mode_reason=window_reason or _reason(outputs),
            tail_steps=tail_steps,
            window=self.window,
            trained_steps=metadata.window_steps or frozen_steps(self.graph, self.layout),
            warnings=tuple(dict.fromkeys([*builder.warnings, *traps(self.written, self.layout, sequences)])),
            metadata=metadata,
        )
        weights = {name: array for name, array in builder.weights.items() if name in used}
        log = FusionLog()
        log.fused += [Fusion(f"{steps} unrolled steps", name, (name,)) for name, steps in self.graph.rolled.items()]
        passes = passes_after_translation(
            kept_slots=kept_slots,
            named_slots=states,
            store=builder.weight_store,
            names=builder.operation_names,
            log=log,
        )
        return ImportedModel(run_passes(Program(description, weights), passes), self.layout, pairs, log)

    def _output_stream(self, name: str) -> Signal:
        tensor = self.scope.read(name)
        if not isinstance(tensor, Signal):
            raise UnsupportedModelError(
                f"output {name} does not depend on the model's inputs: remove it from the graph"
            )
        return materialize_padding(self.builder, tensor)

    def _output(self, name: str, stream: Signal) -> OutputDescription:
        """Describe an output; a batch or time of one, which nobody follows, is taken to be its leading axes of one."""
        time = stream.find(Role.TIME)
        kept = [i for i, axis in enumerate(stream.axes) if not axis or width_of(axis) > 1]
        for _ in range(self._axes_of_one()):
            if len(kept) > 1 and stream.axes[kept[0]] == ():
                kept = kept[1:]
        shape = tuple(width_of(stream.axes[i]) for i in kept) or (1,)
        time_axis = 0 if time is None else sum(i < time for i in kept)
        per_frame = not stream.per_sequence
        if self.window is not None:  # the axis as long as the window is that of its frames
            frames = [i for i, extent in enumerate(shape) if extent == self.window.steps > 1]
            per_frame, time_axis = len(frames) == 1, frames[0] if len(frames) == 1 else 0
        return OutputDescription(
            name,
            self.builder.value(stream, shape),
            per_frame=per_frame,
            time_axis=time_axis,
            when=stream.timing.schedule,
            frames=1 if time is None else width_of(stream.axes[time]),
        )

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
                dtype=self.builder.values[name].dtype,
            )
            for name in self.inputs
            if name in states and name in read
        ]

    def _initial_weight(self, state: str) -> str | None:
        """The weight that a state input begins from, None for zeros; all samples of a batch begin alike."""
        initial, value = self.graph.initial_value(state), self.builder.values[state]
        if initial is None:
            return None
        batch_axis = self.layout[state].batch_axis
        if batch_axis is not None:
            first = initial.take([0], batch_axis)
            if not (initial == first).all():
                raise UnsupportedModelError(
                    f"state input {state} begins each sample of the batch from other numbers: export it with batch 1"
                )
            initial = first
        if initial.size != value.size:
            raise MalformedModelError(f"state input {state} has an initializer of shape {initial.shape}")
        return (
            self.builder.weight(f"{state}.initial", initial.reshape(value.shape), value.dtype)
            if initial.any()
            else None
        )

    def _writes(self, state: str, stream: Signal) -> list[AnyOperation]:
        """Writes of those parts of a state that no recurrence keeps by itself."""
        kept = np.zeros(stream.elements.size + 2, bool)  # with an edge on either side
        kept[0] = kept[-1] = True
        for binding in self.builder.state_inputs.bindings:
            if binding.state_input == state:
                kept[1 + binding.offset : 1 + binding.offset + binding.size] = True
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
                    dtype=self.builder.values[state].dtype,
                )
            )
        return writes


def _reason(outputs: Sequence[OutputDescription]) -> str:
    """Why a stream runs in its mode."""
    if any(output.when.tail_steps for output in outputs):
        return DELAYED
    return AHEAD if any(output.when.at_end for output in outputs) else CONTINUOUS


def _frozen_batch(dimensions: Sequence[int | str], layout: Layout) -> int:
    extent = dimensions[layout.batch_axis] if layout.batch_axis is not None else 1
    return extent if isinstance(extent, int) else 1


def frozen_steps(graph: Graph, layout: dict[str, Layout]) -> int | None:
    """The length of time that the file holds, if it is no single step."""
    for entry in graph.inputs:
        axis = layout[entry.name].time_axis
        dimension = entry.dimensions[axis] if axis is not None else 1
        if isinstance(dimension, int) and dimension > 1:
            return dimension
    return None
